//! What does not open ends the start with its remedy; what is wrongly said, with 2; and never a
//! password.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use e2e::program::{self, free_port};
use e2e::{Server, server};

use super::bed::{Bed, Database, done, refused, run};

/// It stands in addresses, and nowhere else.
const MARKER: &str = "Wd7hsM4rk3r";

#[tokio::test]
async fn a_wrong_address_ends_the_start_with_a_remedy() {
    let bed = Bed::new();
    let data = bed.word("data");
    let start = |url: &str| run(&["--data", &data, "--database", url]);
    let nobody = format!("postgres://heddle:{MARKER}@127.0.0.1:{}/heddle", free_port());
    refused(
        &start(&nobody),
        1,
        &["opening the store in the PostgreSQL database", "see that it runs"],
    );
    let absent = format!("{}_absent", Database::new().with_password(MARKER));
    refused(&start(&absent), 1, &["refuses us", "database name"]);
    let bad_port = format!("postgres://heddle:{MARKER}@127.0.0.1:port/heddle");
    refused(&start(&bad_port), 1, &["its address is right"]);
    let other = format!("mysql://heddle:{MARKER}@127.0.0.1/heddle");
    refused(&start(&other), 2, &["postgres://USER:PASSWORD@HOST/DATABASE"]);
    refused(&bed.run("data", &["store", "copy", "--to", &other]), 2, &["postgres://USER"]);
}

#[tokio::test]
async fn a_newer_schema_ends_the_start_with_both_versions() {
    let (bed, database) = (Bed::new(), Database::new());
    let place = ["--data", &bed.word("data"), "--database", &database.url];
    let mut server = Server::start(&place).await;
    assert_eq!(server.terminate().await, 0);
    database.tamper("INSERT INTO migrations (version, text) VALUES (99, 'of a later day')");
    for door in [&[][..], &["store", "verify"], &["backup", &bed.word("b")]] {
        refused(&run(&[&place[..], door].concat()), 1, &["schema 99", "run a newer Heddle"]);
    }
    assert!(!bed.path("b").exists());
}

#[tokio::test]
async fn a_folder_that_is_closed_to_us_ends_the_start_with_a_remedy() {
    let bed = Bed::new();
    let data = bed.filled("data").await;
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o000)).unwrap();
    for door in [&[][..], &["store", "verify"]] {
        let ended = program::ended(unprivileged().args(["--data", &data]).args(door));
        refused(&ended, 1, &["opening the store in the folder", "heddle.db", "see that you may"]);
    }
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).unwrap();
    let below_a_file = bed.run("data/heddle.db/data", &[]);
    refused(&below_a_file, 1, &["data/heddle.db/data", "check who owns the one above it"]);
}

/// `heddle-server` without root's right to pass over modes, where the tests are root.
fn unprivileged() -> Command {
    let is_root = program::ended(Command::new("id").arg("-u")).stdout.trim() == "0";
    if !is_root {
        return server::command();
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-dac_override,-dac_read_search"]).arg(program::server());
    command.env_remove("HEDDLE_DATA").env_remove("HEDDLE_DATABASE");
    command
}

#[tokio::test]
async fn a_place_without_a_store_is_told_and_stays_empty() {
    let bed = Bed::new();
    for door in [&["store", "verify"][..], &["backup", &bed.word("b")]] {
        refused(&bed.run("data", door), 1, &["data", "there is no store", "place is right"]);
    }
    assert!(bed.files(".").is_empty());
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    for words in [
        &["store"][..],
        &["store", "copy"],
        &["backup"],
        &["--listen", "here"],
        &["--listen", "127.0.0.1:0", "store", "verify"],
    ] {
        let ended = run(words);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{words:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_password_is_in_no_output() {
    let (bed, database) = (Bed::new(), Database::new());
    bed.filled("data").await;
    let url = format!("{}?pasword={MARKER}", database.with_password(MARKER));
    let wrong = format!("{}_absent", database.with_password(MARKER));
    let place = ["--data", &bed.word("data"), "--database", &url];
    let mut said = Vec::new();
    let mut say = |arguments: &[&str]| {
        let mut command = server::command();
        command.args(arguments).env("RUST_LOG", "trace").env("HEDDLE_DATABASE", &url);
        let ended = program::ended(&mut command);
        said.push(format!("{ended:?}"));
        ended
    };
    done(&say(&["--help"]));
    done(&say(&["store", "copy", "--help"]));
    say(&["--data", &bed.word("data"), "--database", &wrong]);
    say(&["--data", &bed.word("data"), "store", "copy", "--to", &wrong]);
    say(&[&place[..], &["--listen", "here"]].concat());
    say(&[&place[..], &["--database", &url]].concat());
    let mut server = Server::start(&place).await;
    done(&say(&[&place[..], &["store", "verify"]].concat()));
    done(&say(&[&place[..], &["backup", &bed.word("b")]].concat()));
    say(&[&place[..], &["restore", &bed.word("absent")]].concat());
    done(&say(&[&place[..], &["store", "copy", "--to", &bed.word("copy")]].concat()));
    assert_eq!(server.terminate().await, 0);
    said.push(server.stderr());
    for words in said {
        assert!(!words.contains(MARKER), "{words}");
    }
}
