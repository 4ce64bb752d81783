//! Dice that fall as bytes say, so that whoever chooses the bytes chooses what is made by them.

/// So many times eight bytes are drawn.
const SHAKEN: usize = 64;

/// Takes each throw from the next bytes; when they are used up, every die shows its first side.
#[derive(Debug)]
pub(crate) struct Dice {
    data: Vec<u8>,
    at: usize,
}

impl Dice {
    pub(crate) fn new(data: &[u8]) -> Self {
        Dice { data: data.to_vec(), at: 0 }
    }

    /// Dice that fall as all of the bytes say at once, anew in each round, where there are few: FNV-1a
    /// of them, drawn out by SplitMix64.
    pub(crate) fn shaken(data: &[u8], round: u64) -> Self {
        let begin = 0xcbf2_9ce4_8422_2325 ^ round;
        let mut state = data
            .iter()
            .fold(begin, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        let draw = |_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes()
        };
        Dice { data: (0..SHAKEN).flat_map(draw).collect(), at: 0 }
    }

    fn is_used_up(&self) -> bool {
        self.at == self.data.len()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// A number below `sides`, of which there are 65,536 at most.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        let low = usize::from(self.byte());
        let number = if sides > 256 { low << 8 | usize::from(self.byte()) } else { low };
        number % sides.max(1)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.roll(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// So many bytes, or as many as are left.
    pub(crate) fn bytes(&mut self, many: usize) -> &[u8] {
        let begin = self.at;
        self.at = self.data.len().min(begin + many);
        &self.data[begin..self.at]
    }

    /// Up to so many bytes as text.
    pub(crate) fn text(&mut self, most: usize) -> String {
        let many = self.roll(most + 1);
        String::from_utf8_lossy(self.bytes(many)).into_owned()
    }

    /// Up to so many of what `one` makes, fewer where the bytes come to their end.
    pub(crate) fn some<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let many = self.roll(most + 1);
        let mut made = Vec::new();
        while made.len() < many && !self.is_used_up() {
            made.push(one(self));
        }
        made
    }
}
