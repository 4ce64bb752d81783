//! A store moves from SQLite to PostgreSQL and back, with history, audit, authorities and keys.

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
    let broken = |ended: &e2e::program::Ended| {
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stdout.starts_with("the chain does not hold: audit row 3 "), "{ended:?}");
    };
    broken(&run(&[&place[..], &["store", "verify"]].concat()));
    done(&run(&[&place[..], &["store", "copy", "--to", &bed.word("back")]].concat()));
    broken(&bed.run("back", &["store", "verify"]));
}
