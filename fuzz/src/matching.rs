//! Tables against a naive reading of Gateway API's text: the reference by which the crate `table` is
//! tested, in worlds that the bytes choose.

use table::{Input, assemble};

use crate::dice::Dice;
use ask::ask;

#[path = "../../table/tests/generated/reference/ask.rs"]
mod ask;
#[path = "../../table/tests/generated/reference/generate.rs"]
#[allow(clippy::unwrap_used, reason = "of what it makes itself")]
mod generate;
#[path = "../../table/tests/generated/reference/naive.rs"]
#[allow(clippy::unwrap_used, reason = "of what is made for it")]
mod naive;

/// One world and a few requests.
pub fn matching(data: &[u8]) {
    let mut dice = Dice::new(data);
    let path = dice.text(40);
    let path = model::path::normalise(&path).ok();
    let world = generate::world(&mut dice);
    let table = assemble(Input { resources: world.clone(), ..Input::default() }, None).table;
    for place in 0..8 {
        let mut request = generate::request(&mut dice, &world);
        if let (0, Some(path)) = (place, &path) {
            request.path = path.to_string();
        }
        let (wanted, _tied) = naive::answer(&world, &request);
        assert_eq!(ask(&table, &request), wanted, "{request:?}\n{world:#?}");
    }
}
