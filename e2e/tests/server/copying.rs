//! A store moves from SQLite to PostgreSQL and back, with history, audit, authorities and keys.

use e2e::program;
use store::Location;

use super::bed::{Bed, Database, ENTRIES, done, fill, holds_all, refused, run};

#[tokio::test]
async fn a_store_moves_to_postgresql_and_back() {
    let (bed, database) = (Bed::new(), Database::new());
    let data = bed.filled("data").await;
    let there = bed.run("data", &["store", "copy", "--to", &database.url]);
    assert!(done(&there).starts_with("copied "), "{there:?}");
    let place = ["--data", &data, "--database", &database.url];
    let back = run(&[&place[..], &["store", "copy", "--to", &bed.word("back")]].concat());
    let rows = |said: &str| said.split(' ').nth(1).map(str::to_owned);
    assert_eq!(rows(done(&there)), rows(done(&back)));
    let on_postgres = run(&[&place[..], &["store", "verify"]].concat());
    let on_sqlite = bed.run("back", &["store", "verify"]);
    assert!(done(&on_sqlite).starts_with(ENTRIES), "{on_sqlite:?}");
    assert_eq!(done(&on_sqlite), done(&on_postgres), "the head, too");
    assert_eq!(done(&on_sqlite), done(&bed.run("data", &["store", "verify"])));
    let (url, folder) = (database.url.clone(), bed.path("data"));
    holds_all(&Location::Postgres { url, folder }).await;
    holds_all(&Location::Folder(bed.path("back"))).await;
}

#[tokio::test]
async fn where_a_copy_goes_need_not_be_an_argument() {
    let bed = Bed::new();
    let data = bed.filled("data").await;
    let copy = |to: &[&str], variable: &str| {
        let mut command = e2e::server::command();
        command.args(["--data", &data, "store", "copy"]).args(to);
        program::ended(command.env("HEDDLE_COPY_TO", variable))
    };
    std::fs::write(bed.path("to"), bed.word("by-file") + "\n").unwrap();
    let by_file = copy(&["--to", &format!("@{}", bed.word("to"))], "");
    assert!(done(&by_file).starts_with("copied "), "{by_file:?}");
    let by_variable = copy(&[], &bed.word("by-variable"));
    assert!(done(&by_variable).starts_with("copied "), "{by_variable:?}");
    for name in ["by-file", "by-variable"] {
        holds_all(&Location::Folder(bed.path(name))).await;
    }
    refused(&copy(&[], ""), 2, &["--to says nothing"]);
    let wrong = copy(&[], "mysql://heddle:marker@db/heddle");
    refused(&wrong, 2, &["none of PostgreSQL"]);
    assert!(!wrong.stderr.contains("marker"), "{wrong:?}");
}

#[tokio::test]
async fn a_copy_fills_only_what_is_empty() {
    let (bed, database) = (Bed::new(), Database::new());
    bed.filled("data").await;
    let (url, folder) = (database.url.clone(), bed.path("theirs"));
    let theirs = Location::Postgres { url, folder };
    fill(&theirs).await;
    let refusal = bed.run("theirs", &["store", "copy", "--to", &bed.word("elsewhere")]);
    refused(&refusal, 1, &["opening the store", "there is no store"]);
    assert!(!bed.path("elsewhere").exists());
    bed.filled("other").await;
    let refusal = bed.run("data", &["store", "copy", "--to", &bed.word("other")]);
    refused(&refusal, 1, &["copying the folder", "is not empty", "into a new database"]);
    let refusal = bed.run("data", &["store", "copy", "--to", &database.url]);
    // Its keys are elsewhere, so that it does not even open with these.
    refused(&refusal, 1, &["the PostgreSQL database", "is not in the key file"]);
    holds_all(&theirs).await;
}

#[tokio::test]
async fn a_rewritten_audit_is_found_on_either_database() {
    let (bed, database) = (Bed::new(), Database::new());
    let data = bed.filled("data").await;
    done(&bed.run("data", &["store", "copy", "--to", &database.url]));
    database.tamper("UPDATE audit SET actor = 'mallory' WHERE seq = 3");
    let place = ["--data", &data, "--database", &database.url];
    let broken = |ended: &program::Ended| {
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stdout.starts_with("the chain does not hold: audit row 3 "), "{ended:?}");
    };
    broken(&run(&[&place[..], &["store", "verify"]].concat()));
    done(&run(&[&place[..], &["store", "copy", "--to", &bed.word("back")]].concat()));
    broken(&bed.run("back", &["store", "verify"]));
}
