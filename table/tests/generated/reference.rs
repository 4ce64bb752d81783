//! The table agrees with a naive matcher written from the Gateway API's text.

use std::net::{IpAddr, Ipv4Addr};

use policy::{Facts, Layer, Reason, Scheme};
use table::{Input, Table, assemble};

use crate::dice::{Dice, number};
use generate::Request;
use naive::Answer;

mod generate;
mod naive;

const REQUESTS_PER_WORLD: u64 = 50;

fn ask(table: &Table, request: &Request) -> Answer {
    let facts = Facts {
        layer: Layer::Request,
        now: 0,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Http,
        port: request.port,
        host: &request.host,
        method: &request.method,
        path: &request.path,
        query: request.query.as_deref(),
        headers: &request.headers,
        peer: None,
        users: &[],
    };
    let listener = table
        .listener(request.port, &request.host)
        .map(|one| format!("{}/{}/{}", one.gateway.namespace, one.gateway.name, one.name));
    match (table.find(&facts), listener) {
        (Err(Reason::NoListener), None) => Answer::NoListener,
        (Err(Reason::NoRoute), Some(listener)) => Answer::NoRoute { listener },
        (Ok(found), Some(listener)) => Answer::Rule {
            listener,
            route: format!("{}/{}", found.rule.route.namespace, found.rule.route.name),
            rule: found.rule.index,
            prefix: found.prefix.map(str::to_owned),
        },
        (found, listener) => panic!("{found:?} at {listener:?}"),
    }
}

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
