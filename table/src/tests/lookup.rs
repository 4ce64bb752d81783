//! What a lookup costs: the depth of the match, not the number of routes.

use model::Resource;
use serde_json::json;

use super::fixture::{get, made, path, plain, route};
use crate::route::VISITED;

fn visited(work: impl FnOnce()) -> usize {
    VISITED.set(0);
    work();
    VISITED.get()
}

#[test]
fn forty_thousand_routes_are_not_scanned() {
    let mut resources = vec![plain()];
    let hosts = [&["shared.test"][..], &[]];
    resources.extend((0..40_000).map(|index| {
        let (kind, value) = match index % 2 {
            0 => ("PathPrefix", format!("/team{}/api{index}", index % 100)),
            _ => ("Exact", format!("/team{}/page{index}", index % 100)),
        };
        route(&format!("r{index}"), hosts[index / 20_000], path(kind, &value))
    }));
    let table = made(resources).table;
    assert_eq!(table.rules.len(), 40_000);
    for (asked, wanted) in [
        ("/team98/api19998/deep/er", "shop/r19998/0"),
        ("/team1/page39901", "shop/r39901/0"),
        ("/team1/nothing/here", "no_route"),
    ] {
        let ask = get("shared.test", asked);
        let cost = visited(|| assert_eq!(ask.rule(&table), wanted));
        assert!(cost <= 1, "{asked} looked at {cost} matches");
    }
}

#[test]
fn forty_thousand_hosts_are_not_scanned() {
    let many = (0..40_000).map(|index| format!("h{index}.example.com"));
    let routes: Vec<Resource> =
        many.map(|host| route(&host.replace('.', "-"), &[&host], json!([{}]))).collect();
    let table = made([vec![plain()], routes].concat()).table;
    let ask = get("h31234.example.com", "/");
    let cost = visited(|| assert_eq!(ask.rule(&table), "shop/h31234-example-com/0"));
    assert_eq!(cost, 1);
}

#[test]
fn a_match_costs_those_below_it_on_its_own_branch() {
    let deep = (0..20).map(|depth| "/x".repeat(depth + 1));
    let mut resources = vec![plain()];
    for (depth, prefix) in deep.enumerate() {
        let one = json!({ "path": { "value": prefix }, "method": "POST" });
        resources.push(route(&format!("r{depth}"), &[], json!([{ "matches": [one] }])));
    }
    resources.push(route("root", &[], path("PathPrefix", "/")));
    let table = made(resources).table;
    let ask = get("h", &"/x".repeat(20));
    assert_eq!(visited(|| assert_eq!(ask.rule(&table), "shop/root/0")), 21);
}
