use model::Name;

use super::*;

fn claim(name: &str, host: &str) -> Resource {
    let text = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Claim\nmetadata: {{ name: {name} }}\n\
         spec: {{ hosts: [{{ host: '{host}' }}] }}\n"
    );
    model::read(&text).remove(0).result.unwrap()
}

/// All pairs of hosts: near is what intersects, no more and no less.
#[test]
fn near_is_what_has_a_name_in_common() {
    let hosts = [
        "com",
        "a.com",
        "b.a.com",
        "c.b.a.com",
        "*.com",
        "*.a.com",
        "*.b.a.com",
        "aa.com",
        "*.aa.com",
        "a-b.com",
        "x.a-b.com",
        "b.com",
        "*.b.com",
        "org",
        "*.a.org",
        "a.a.a.a.com",
    ];
    let all: Vec<_> =
        hosts.iter().enumerate().map(|(at, host)| claim(&format!("c{at}"), host)).collect();
    let mut grounds = Grounds::default();
    all.iter().for_each(|one| grounds.add(one));
    for (at, one) in hosts.iter().enumerate() {
        let mine = Hostname::parse(one).unwrap();
        let wanted = hosts.iter().enumerate().filter_map(|(other, host)| {
            let meets = mine.intersect(&Hostname::parse(host).unwrap()).is_some();
            meets.then(|| format!("c{other}"))
        });
        let wanted: BTreeSet<_> = wanted.map(|name| Name::parse(&name).unwrap()).collect();
        let near: BTreeSet<_> = grounds.near(&all[at]).into_iter().map(|key| key.name).collect();
        assert_eq!(near, wanted, "{one}");
    }
    all.iter().for_each(|one| grounds.remove(one));
    assert_eq!(grounds, Grounds::default(), "nothing stays behind");
}
