//! Frames between the control plane and its nodes, not those of HTTP/2: any bytes are read, or refused, as by
//! a naive reading of the .proto files and their rules, and what is written is read as it was.
//!
//! ```text
//! bytes ── wire ──> frame ── field by field ──> tree
//!       ── naive: encoding, then rules ───────> the same tree
//! ```
//!
//! Few bytes by chance are a frame, so those of frames that dice made are bent, too: a list grows over its
//! bound, a digest loses a byte, a field is said twice.

use wire::{ControlFrame, Counts, LoggedOut, NodeFrame, Told};

use crate::dice::Dice;

mod bent;
mod decision;
mod made;
mod meant;
mod naive;
mod rule;
mod schema;
mod written;

use meant::Meant;

/// So many times each frame is bent.
const BENT: u64 = 8;

/// Any bytes as each sort of frame, and frames made of them.
pub fn frame(data: &[u8]) {
    agrees::<NodeFrame>(data);
    agrees::<ControlFrame>(data);
    agrees::<Told>(data);
    agrees::<Counts>(data);
    agrees::<LoggedOut>(data);
    let dice = &mut Dice::new(data);
    // Each about as often as it has forms.
    match dice.roll(19) {
        0..5 => made(&made::node(dice), data),
        5..14 => made(&made::control(dice), data),
        14..16 => made(&made::told(dice), data),
        16 => made(&made::logged_out(dice), data),
        _ => made(&made::counts(dice), data),
    }
}

/// Whatever is read is as it is meant, and written is read as the same.
fn agrees<T: Meant>(data: &[u8]) {
    let got = T::from_bytes(data);
    let meant = got.as_ref().ok().map(Meant::meant);
    let wanted = naive::read(T::MESSAGE, data);
    let name = T::MESSAGE;
    assert_eq!(meant, wanted, "{name} {}: {:?}", data.escape_ascii(), got.as_ref().err());
    if let Ok(frame) = got {
        let bytes = frame.clone().into_bytes();
        assert_eq!(T::from_bytes(&bytes), Ok(frame), "what came of {}", bytes.escape_ascii());
    }
}

fn made<T: Meant>(frame: &T, data: &[u8]) {
    let bytes = frame.clone().into_bytes();
    let wanted = naive::read(T::MESSAGE, &bytes);
    assert_eq!(Some(frame.meant()), wanted, "{} {}", T::MESSAGE, bytes.escape_ascii());
    agrees::<T>(&bytes);
    let said = naive::parse(T::MESSAGE, &bytes).expect("it was read");
    for round in 0..BENT {
        let dice = &mut Dice::shaken(data, round);
        agrees::<T>(&bent::bytes(dice, T::MESSAGE, &said));
    }
}
