//! The table agrees with a naive matcher written from the Gateway API's text.

use table::{Input, assemble};

use crate::dice::{Dice, number};
use ask::ask;
use naive::Answer;

mod ask;
mod generate;
mod naive;

const REQUESTS_PER_WORLD: u64 = 50;

#[test]
fn agrees_with_the_reference() {
    let count = number("HEDDLE_SOAK_COUNT", 100_000);
    let seed = number("HEDDLE_SOAK_SEED", 1);
    let (mut hits, mut ties, mut dice) = (0, 0, Dice::new(seed));
    for case in 0..count.div_ceil(REQUESTS_PER_WORLD) {
        let world = generate::world(&mut dice);
        let input = Input { resources: world.clone(), ..Input::default() };
        let assembly = assemble(input, None);
        for _ in 0..REQUESTS_PER_WORLD {
            let request = generate::request(&mut dice, &world);
            let (wanted, tied) = naive::answer(&world, &request);
            let got = ask(&assembly.table, &request);
            assert_eq!(got, wanted, "seed {seed}, world {case}: {request:?}\n{world:#?}");
            hits += u64::from(matches!(wanted, Answer::Rule { .. }));
            ties += u64::from(tied);
        }
    }
    println!("{count} cases with seed {seed}: {hits} led to a rule, {ties} of them by a tie");
    assert!(hits * 3 > count, "only {hits} of {count} requests led to a rule");
    assert!(ties * 20 > hits, "only {ties} of {hits} were decided between equal matches");
}
