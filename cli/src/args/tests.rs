//! What can be typed.

use clap::{CommandFactory as _, Parser as _};

use super::*;

#[test]
fn the_command_line_is_well_made() {
    Args::command().debug_assert();
}

fn parse(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(std::iter::once("heddle").chain(line.split_whitespace()))
}

#[test]
fn wrong_usage_is_told_as_such() {
    for line in [
        "",
        "apply",
        "apply -f a --wait 60s",
        "apply -f a --wait=soon",
        "apply -f a --dry-run --wait",
        "get",
        "get zebra",
        "get routes r -A",
        "get routes -n shop -A",
        "get routes -l nothing",
        "get routes -o text",
        "describe route",
        "delete",
        "delete route/r -f a",
        "explain",
        "traffic --side middle",
        "traffic --window 0",
        "history route/r --scope platform",
        "history --scope shop",
        "rollback",
        "rollback 0",
        "rollback last",
        "transfer a",
        "auth can-i dance route/r",
        "access",
        "access request route/r",
        "access request dance route/r",
        "access list --state lost",
        "access grant",
        "access grant x --role King",
        "access refuse",
        "access withdraw",
        "consumer key",
        "consumer key Acme",
        "consumer key a --valid soon",
        "token create",
        "token create x --role king",
        "token create x --expires never",
        "join-token create",
        "node delete",
        "join-token create --cluster c --uses 0",
        "completion tcsh",
        "audit --limit 0",
        "whoami --server ftp://x",
        "whoami --token hdl_x",
        "whoami --timeout 0",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}: {error}");
    }
}

#[test]
fn what_is_documented_can_be_typed() {
    for line in [
        "authority show -o json",
        "authority rotate",
        "authority advance --force",
        "authority abandon",
        "session-secret rotate --forget",
        "key-set list",
        "key-set fetch https://login.example/keys -o json",
        "login --server http://console.localhost:7080 --user alice --password-stdin",
        "apply -f a -f b -f - -m why --wait --server https://x",
        "apply -f a --wait=5m -o json",
        "--timeout 5s get httproutes -A -l team=shop -o name",
        "get route r -n shop -o yaml",
        "get route/shop/r",
        "delete route/r svc/s -n shop --wait",
        "delete -f a",
        "diff -f a -o json",
        "explain 01a2173c-dce5-7591-a27d-b38d0e4e2327 -o yaml",
        "traffic --workspace shop --backend shop/orders:80 --window 15m --watch -o json",
        "history HTTPRoute/r -n shop --limit 5",
        "history --scope workspace/shop",
        "rollback 12 --message oops",
        "auth can-i get route/r --field spec.rules --as bob",
        "auth can-i Update route/r",
        "auth can-i create route/r -n shop --api orders",
        "access request update route/r -n shop --field spec.rules --message why -o json",
        "access list --state all",
        "access grant 01a2173c-dce5-7591-a27d-b38d0e4e2327 --role releaser -m why",
        "access refuse 01a2173c-dce5-7591-a27d-b38d0e4e2327 --message no",
        "access withdraw 01a2173c-dce5-7591-a27d-b38d0e4e2327",
        "consumer key acme -n demo --valid 90d --overlap 7d",
        "consumer key acme --api orders --name winter -o json",
        "revoke user https://login.example ann --sign-out -m why",
        "revoke consumer acme -n demo --for 24h -o json",
        "revoke key clerk -n shop",
        "revoke lift 01a2173c-dce5-7591-a27d-b38d0e4e2327",
        "token create ci --scope workspace/shop --role editor --expires 90d",
        "user password",
        "join-token create --cluster c --kind mesh --name edge-* --uses 3 --expires 1h",
        "node delete edge-1 --cluster eu",
        "audit --limit 5 -o json",
        "audit verify",
        "completion fish",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn waiting_without_a_time_is_a_minute() {
    let wait = |line| match parse(line).unwrap().command {
        Command::Apply(args) => args.wait.wait.map(|wait| wait.as_secs()),
        other => panic!("{other:?}"),
    };
    assert_eq!(wait("apply -f a"), None);
    assert_eq!(wait("apply --wait -f a"), Some(60));
    assert_eq!(wait("apply --wait=5m -f a"), Some(300));
}

#[test]
fn whatever_takes_an_output_tells_its_errors_in_it() {
    for line in [
        "whoami",
        "status",
        "apply -f a",
        "get routes",
        "delete -f a",
        "diff -f a",
        "plan -f a",
        "explain x",
        "traffic",
        "history",
        "rollback 1",
        "transfer a --to b",
        "auth can-i read route/r",
        "access request update route/r",
        "access list",
        "access grant x",
        "consumer key x",
        "revoke user https://login.example ann",
        "revoke consumer acme",
        "revoke key clerk",
        "revoke list",
        "token create x",
        "token list",
        "user create x",
        "user list",
        "join-token create --cluster c",
        "join-token list",
        "authority show",
        "authority rotate",
        "authority advance",
        "authority abandon",
        "session-secret rotate",
        "key-set list",
        "key-set fetch https://login.example/keys",
        "audit",
        "audit verify",
    ] {
        assert_eq!(parse(line).unwrap().command.output(), Output::Table, "{line}");
        for (word, wanted) in [("json", Output::Json), ("yaml", Output::Yaml)] {
            let args = parse(&format!("{line} -o {word}")).unwrap();
            assert_eq!(args.command.output(), wanted, "{line}");
        }
    }
    let commands = Args::command();
    let takes_output = |command: &clap::Command| {
        command.get_arguments().filter(|argument| argument.get_id() == "output").count()
    };
    let below =
        |command: &clap::Command| command.get_subcommands().map(takes_output).sum::<usize>();
    let all = commands.get_subcommands().map(|one| takes_output(one) + below(one)).sum::<usize>();
    assert_eq!(all, 36, "each has a line here");
}
