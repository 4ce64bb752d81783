//! What the command line takes and what it is without words.

use proxy::Limits;

use super::*;

fn serve(arguments: &[&str]) -> Result<Serve, String> {
    let all = ["heddle-gateway"].iter().chain(arguments);
    Args::try_parse_from(all).map(|args| args.serve).map_err(|error| error.to_string())
}

#[test]
fn the_bounds_that_help_shows_are_those_that_hold_by_default() {
    let (args, limits) = (serve(&[]).unwrap(), Limits::default());
    let shown = [
        args.head_timeout,
        args.idle_timeout,
        args.write_timeout,
        args.backend_timeout,
        args.body_timeout,
    ];
    let held = [limits.head, limits.idle, limits.write, limits.backend_head, limits.body];
    assert_eq!((shown, args.max_body), (held, limits.body_bytes));
}

#[test]
fn a_number_of_bytes_may_have_a_unit_of_1024() {
    for (text, wanted) in [
        ("0", Some(0)),
        ("1000", Some(1000)),
        ("2K", Some(2 << 10)),
        ("2Ki", Some(2 << 10)),
        ("20M", Some(20 << 20)),
        ("20Mi", Some(20 << 20)),
        ("3G", Some(3 << 30)),
        ("3Gi", Some(3 << 30)),
        ("", None),
        ("M", None),
        ("+1", None),
        ("-1", None),
        ("1.5G", None),
        ("1 G", None),
        ("1k", None),
        ("1T", None),
        ("1GB", None),
        ("99999999999G", None),
    ] {
        assert_eq!(bytes(text).ok(), wanted, "'{text}'");
    }
    let said = serve(&["--max-body", "20MB"]).unwrap_err();
    assert!(said.contains("'20MB'") && said.contains("--max-body"), "{said}");
    assert!(said.contains("a number of bytes such as 1048576, or 1024K, 20M, 1G"), "{said}");
}

#[test]
fn only_kinds_of_others_can_be_ignored() {
    let kinds = serve(&["--ignore-kinds", "ServiceAccount,Deployment", "--ignore-kinds", "Role"]);
    assert_eq!(kinds.unwrap().ignore_kinds, ["ServiceAccount", "Deployment", "Role"]);
    for (kinds, word) in [
        ("Deployment,Namespace", "Namespace is a kind that"),
        ("Service", "Service is a kind that"),
        ("Deployment,AccessPolicy", "AccessPolicy is a kind that"),
        ("gateway", "Gateway is a kind that"),
        ("Deployment,", "parted by commas"),
        ("a b", "parted by commas"),
    ] {
        let said = serve(&["--ignore-kinds", kinds]).unwrap_err();
        assert!(said.contains(word), "{kinds}: {said}");
    }
}

#[test]
fn tables_come_from_files_or_from_a_server() {
    let source = |arguments: &[&str], token: Option<&str>| {
        serve(arguments).unwrap().source(token.map(str::to_owned))
    };
    assert_eq!(source(&[], None), None);
    let files = Some(Source::Files("a.yaml".into()));
    assert_eq!(source(&["--config", "a.yaml"], Some("token")), files);
    let join = |token: Option<&str>, state: Option<&str>| {
        let token = token.map(|token| Hidden(token.to_owned()));
        Some(Source::Server(Join { token, state: state.map(PathBuf::from), ..Join::default() }))
    };
    assert_eq!(source(&["--join", "a"], Some("b")), join(Some("a"), None));
    assert_eq!(source(&["--join", "-"], None), join(Some("-"), None));
    assert_eq!(source(&[], Some("b")), join(Some("b"), None));
    assert_eq!(source(&["--state", "here"], None), join(None, Some("here")));
}

#[test]
fn files_and_a_server_exclude_each_other_and_no_token_is_shown() {
    for other in ["--join", "--server", "--name"] {
        let said = serve(&["--config", "a.yaml", other, "marker"]).unwrap_err();
        assert!(said.contains("cannot be used with"), "{said}");
        assert!(!said.contains("marker"), "{said}");
    }
    let args = serve(&["--join", "marker"]).unwrap();
    assert!(!format!("{args:?} {:?}", args.source(None)).contains("marker"));
}

#[test]
fn a_time_is_no_longer_than_a_clock_goes_on() {
    let held = |text: &str| serve(&["--drain-delay", text]).map(|args| args.drain_delay.as_secs());
    assert_eq!(held("5"), Ok(5));
    assert_eq!(held("99999h"), held("359996400"));
    for text in ["359996401", "18446744073709551615"] {
        let error = held(text).unwrap_err();
        assert!(error.contains("359996400 seconds at most"), "{error}");
    }
}
