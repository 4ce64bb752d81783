//! A backup holds all but the keys, and goes only where nothing is.

use e2e::Server;
use store::Location;

use super::bed::{Bed, Database, ENTRIES, SECRET, done, holds_all, refused, run};

#[tokio::test]
async fn a_running_server_is_backed_up_and_restored_elsewhere() {
    let bed = Bed::new();
    let data = bed.filled("data").await;
    let backup = bed.word("backup.db");
    let mut server = Server::start(&["--data", &data]).await;
    let said = bed.run("data", &["backup", &backup]);
    assert!(done(&said).starts_with("backed up ") && said.stdout.contains(&backup), "{said:?}");
    assert_eq!(server.get("/readyz").await.unwrap().status, 200);
    assert_eq!(server.terminate().await, 0);
    assert_eq!(bed.files("."), ["backup.db", "data"], "nothing else is left");
    let bytes = std::fs::read(&backup).unwrap();
    assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET), "secrets stay sealed");
    bed.bring_keys("data", "restored");
    assert!(done(&bed.run("restored", &["restore", &backup])).starts_with("restored "));
    assert!(done(&bed.run("restored", &["store", "verify"])).starts_with(ENTRIES));
    holds_all(&Location::Folder(bed.path("restored"))).await;
}

#[tokio::test]
async fn a_backup_replaces_no_file() {
    let bed = Bed::new();
    bed.filled("data").await;
    std::fs::write(bed.path("there"), "dear to somebody").unwrap();
    let again = bed.run("data", &["backup", &bed.word("there")]);
    refused(&again, 1, &["backing up the folder", "there", "name one that is not there"]);
    assert_eq!(std::fs::read_to_string(bed.path("there")).unwrap(), "dear to somebody");
    let nowhere = bed.run("data", &["backup", &bed.word("no/folder/b")]);
    refused(&nowhere, 1, &["no/folder/b", "in a folder that is"]);
}

#[tokio::test]
async fn a_store_that_is_not_empty_is_not_restored_into() {
    let bed = Bed::new();
    bed.filled("data").await;
    let backup = bed.word("backup.db");
    done(&bed.run("data", &["backup", &backup]));
    let again = bed.run("data", &["restore", &backup]);
    refused(&again, 1, &["restoring", &backup, "is not empty", "empty folder"]);
    assert!(done(&bed.run("data", &["store", "verify"])).starts_with(ENTRIES));
    holds_all(&Location::Folder(bed.path("data"))).await;
}

#[tokio::test]
async fn a_backup_without_its_keys_is_refused_until_they_are_brought() {
    let (bed, database) = (Bed::new(), Database::new());
    bed.filled("data").await;
    let backup = bed.word("backup.db");
    done(&bed.run("data", &["backup", &backup]));
    let place = ["--data", &bed.word("other"), "--database", &database.url];
    let restore = || run(&[&place[..], &["restore", &backup]].concat());
    refused(&restore(), 1, &["is not in the key file", "bring the file that belongs"]);
    bed.bring_keys("data", "other");
    done(&restore());
    let (url, folder) = (database.url.clone(), bed.path("other"));
    holds_all(&Location::Postgres { url, folder }).await;
}

#[tokio::test]
async fn what_is_no_backup_is_refused_by_name() {
    let bed = Bed::new();
    let restore = |name: &str| bed.run("data", &["restore", &bed.word(name)]);
    refused(&restore("absent"), 1, &["absent", "name a file that is there"]);
    assert!(!bed.path("data").exists(), "no store is made for what is not there");
    std::fs::write(bed.path("empty"), "").unwrap();
    refused(&restore("empty"), 1, &["empty", "is no backup of Heddle's"]);
    std::fs::write(bed.path("text"), "no database, but long enough for one ".repeat(200)).unwrap();
    refused(&restore("text"), 1, &["text", "damaged"]);
}
