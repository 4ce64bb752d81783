//! Every target on its seeds, and on what chance makes of them.

use std::path::Path;

use super::*;

/// SplitMix64, so that each run takes the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % most.max(1) as u64).unwrap()
    }

    /// Any bytes, or one seed with some of another and some bytes changed.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.below(4) == 0 {
            let many = self.below(200);
            return (0..many).map(|_| self.below(256) as u8).collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        if self.below(2) == 0 {
            let other = &seeds[self.below(seeds.len())];
            let (begin, end) = (self.below(other.len()), self.below(other.len()));
            let piece = other[begin.min(end)..begin.max(end)].to_vec();
            let at = self.below(input.len());
            let until = at + self.below(input.len() - at);
            input.splice(at..until, piece);
        }
        for _ in 0..self.below(4) {
            let at = self.below(input.len());
            match input.get_mut(at) {
                Some(byte) => *byte = self.below(256) as u8,
                None => input.push(b'/'),
            }
        }
        input
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let files = std::fs::read_dir(&folder).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Where it fails, the panic says on what.
fn agrees(name: &str, count: usize) {
    let target = target(name).unwrap();
    let seeds = seeds(name);
    seeds.iter().for_each(|seed| (target.run)(seed));
    let mut chance = Chance(1);
    (0..count).for_each(|_| (target.run)(&chance.input(&seeds)));
}

#[test]
fn paths_agree_with_their_oracle() {
    agrees("path", 20_000);
}

#[test]
fn tables_agree_with_their_oracle() {
    agrees("matching", 200);
}

#[test]
fn hosts_agree_with_their_oracle() {
    agrees("host", 20_000);
}

#[test]
fn proxy_headers_agree_with_their_oracle() {
    agrees("proxy_header", 2_000);
}

#[test]
fn headers_agree_with_their_oracle() {
    agrees("headers", 2_000);
}

#[test]
fn frames_agree_with_their_oracle() {
    agrees("frame", 1_500);
}

#[test]
fn the_walker_agrees_with_its_oracle() {
    agrees("walker", 1_000);
}

#[test]
fn every_target_has_seeds_and_every_folder_of_seeds_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(target(&name).is_some(), "no target is called {name}");
    }
    TARGETS.iter().for_each(|target| assert!(!seeds(target.name).is_empty()));
}
