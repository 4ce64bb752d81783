//! What selectors pick of namespaces, and what is told where they do not.

use super::*;
use crate::namespace::Namespace;

/// What is not met by `shop` with two labels, `bank` without an object, and `lost`, whose object cannot be read.
fn told(text: &str) -> [String; 3] {
    let selector: NamespaceSelector = serde_json::from_str(text).unwrap();
    let shop = r#"{"metadata": {"name": "shop", "labels": {"team": "shop", "stage": "test"}}}"#;
    let shop: Namespace = serde_json::from_str(shop).unwrap();
    let [bank, lost] = ["bank", "lost"].map(|name| Name::parse(name).unwrap());
    [Labelled::by(&shop), Labelled::bare(&bank), Labelled::untold(&lost)].map(|namespace| {
        let unmet = selector.unmet(namespace).map(|unmet| unmet.to_string());
        assert_eq!(selector.picks(namespace), unmet.is_none(), "{text}");
        unmet.unwrap_or_default()
    })
}

fn picks(text: &str) -> [bool; 3] {
    told(text).map(|told| told.is_empty())
}

fn expression(key: &str, operator: &str, values: &str) -> String {
    format!(
        r#"{{"matchExpressions": [{{"key": "{key}", "operator": "{operator}", "values": [{values}]}}]}}"#
    )
}

#[test]
fn all_that_a_selector_says_holds_of_what_it_picks() {
    let name =
        |operator: &str, values: &str| expression("kubernetes.io/metadata.name", operator, values);
    let team = |operator: &str, values: &str| expression("team", operator, values);
    for (text, wanted) in [
        ("{}".to_owned(), [true, true, true]),
        (
            r#"{"matchLabels": {"kubernetes.io/metadata.name": "shop"}}"#.into(),
            [true, false, false],
        ),
        (name("In", r#""lost", "x""#), [false, false, true]),
        (name("NotIn", r#""shop", "x""#), [false, true, true]),
        (name("Exists", ""), [true, true, true]),
        (name("DoesNotExist", ""), [false, false, false]),
        (r#"{"matchLabels": {"team": "shop"}}"#.into(), [true, false, false]),
        (r#"{"matchLabels": {"team": "Shop"}}"#.into(), [false, false, false]),
        (r#"{"matchLabels": {"team": "shop", "stage": "test"}}"#.into(), [true, false, false]),
        (r#"{"matchLabels": {"team": "shop", "stage": "live"}}"#.into(), [false, false, false]),
        (team("In", r#""bank", "shop""#), [true, false, false]),
        // What is not there is not one of them; of what cannot be read nobody can say so.
        (team("NotIn", r#""shop""#), [false, true, false]),
        (team("NotIn", r#""bank""#), [true, true, false]),
        (team("Exists", ""), [true, false, false]),
        (team("DoesNotExist", ""), [false, true, false]),
        (
            r#"{"matchLabels": {"kubernetes.io/metadata.name": "shop"}, "matchExpressions":
                [{"key": "team", "operator": "NotIn", "values": ["shop"]}]}"#
                .into(),
            [false, false, false],
        ),
    ] {
        assert_eq!(picks(&text), wanted, "{text}");
    }
}

#[test]
fn what_is_not_met_is_told_with_what_is_there() {
    let [shop, bank, lost] = told(r#"{"matchLabels": {"team": "toys"}}"#);
    assert_eq!(shop, "wants the label 'team' to be 'toys', and the namespace has 'shop' there");
    assert_eq!(
        bank,
        "wants the label 'team' to be 'toys', and the namespace has none of that name"
    );
    let untold = ", and the labels of the namespace cannot be read";
    assert_eq!(lost, format!("wants the label 'team' to be 'toys'{untold}"));
    for (operator, values, wanted) in [
        ("In", r#""a", "b""#, "wants the label 'team' to be one of 'a', 'b'"),
        ("NotIn", r#""a""#, "wants the label 'team' not to be 'a'"),
        ("NotIn", r#""a", "b""#, "wants the label 'team' to be none of 'a', 'b'"),
        ("Exists", "", "wants a label 'team'"),
        ("DoesNotExist", "", "wants no label 'team'"),
    ] {
        let [_, _, lost] = told(&expression("team", operator, values));
        assert_eq!(lost, format!("{wanted}{untold}"));
    }
}
