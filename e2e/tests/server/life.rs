//! Starting and ending: the store outlives the server, however that ends.

use e2e::Server;

use super::bed::{Bed, Database, ENTRIES, FIRST, done, mode, run};

#[tokio::test]
async fn a_server_makes_its_store_and_finds_it_again() {
    let bed = Bed::new();
    let data = bed.word("made/data");
    for _ in 0..2 {
        let mut server = Server::start(&["--data", &data]).await;
        assert_eq!(server.get("/readyz").await.unwrap().status, 200);
        assert_eq!(server.terminate().await, 0, "{}", server.stderr());
        // SQLite keeps its log beside the file until the last connection is closed.
        assert_eq!(bed.files("made/data"), ["admin-password", "heddle.db", "keys"]);
    }
    assert!(done(&bed.run("made/data", &["store", "verify"])).starts_with(FIRST));
}

#[tokio::test]
async fn what_a_server_makes_is_its_owners_alone() {
    let bed = Bed::new();
    let _server = Server::start(&["--data", &bed.word("data")]).await;
    for folder in ["data", "data/keys"] {
        assert_eq!(mode(&bed.path(folder)), 0o700, "{folder}");
    }
    for file in ["heddle.db", "heddle.db-wal", "heddle.db-shm", "keys/seal.json", "admin-password"]
    {
        assert_eq!(mode(&bed.path("data").join(file)), 0o600, "{file}");
    }
    done(&bed.run("data", &["backup", &bed.word("backup.db")]));
    assert_eq!(mode(&bed.path("backup.db")), 0o600);
}

#[tokio::test]
async fn a_killed_server_starts_again_with_all_that_was_committed() {
    let bed = Bed::new();
    let data = bed.word("data");
    let mut server = Server::start(&["--data", &data]).await;
    bed.filled("data").await;
    assert_eq!(server.kill().await, -1);
    let mut again = Server::start(&["--data", &data]).await;
    // Those of the first start, and those of the filling.
    assert!(done(&bed.run("data", &["store", "verify"])).starts_with("7 entries, chain holds\n"));
    assert_eq!(again.terminate().await, 0);
}

#[tokio::test]
async fn a_server_over_postgresql_keeps_only_its_keys_in_the_folder() {
    let (bed, database) = (Bed::new(), Database::new());
    let place = ["--data", &bed.word("data"), "--database", &database.url];
    for _ in 0..2 {
        let mut server = Server::start(&place).await;
        assert_eq!(server.terminate().await, 0, "{}", server.stderr());
    }
    assert_eq!(bed.files("data"), ["admin-password", "keys"]);
    assert!(done(&run(&[&place[..], &["store", "verify"]].concat())).starts_with(FIRST));
}

#[tokio::test]
async fn the_place_may_come_from_the_environment() {
    let (bed, database) = (Bed::new(), Database::new());
    let data = bed.filled("data").await;
    let verify = |database: &str| {
        let mut command = e2e::server::command();
        command.args(["store", "verify"]).env("HEDDLE_DATA", &data);
        e2e::program::ended(command.env("HEDDLE_DATABASE", database))
    };
    assert!(done(&verify("")).starts_with(ENTRIES), "an empty variable is none");
    assert_eq!(verify(&database.url).code, 1, "there is no store in it yet");
}
