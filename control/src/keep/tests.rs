//! Which place somebody means, and that a wrong one is not made.

use super::*;

#[test]
fn a_place_is_a_folder_or_a_database_with_the_folder_of_its_keys() {
    let data = Path::new("data");
    let url = "postgres://heddle:pass@db/heddle";
    let database = Location::Postgres { url: url.to_owned(), folder: data.to_owned() };
    assert_eq!(place(data, None), Ok(Location::Folder("data".into())));
    assert_eq!(place(data, Some(url)), Ok(database.clone()));
    assert_eq!(target(url, data), Ok(database));
    assert_eq!(target("elsewhere", data), Ok(Location::Folder("elsewhere".into())));
    assert_eq!(place(data, Some("heddle:pass@db")), Err(NotAnAddress));
    assert_eq!(target("mysql://heddle:pass@db/heddle", data), Err(NotAnAddress));
}

#[test]
fn no_word_about_a_database_tells_its_address() {
    let place = place(Path::new("data"), Some("postgres://heddle:pass@db/heddle")).unwrap();
    for said in [place.to_string(), format!("{place:?}")] {
        assert!(!said.contains("pass@") && said.contains("data"), "{said}");
    }
}

#[tokio::test]
async fn what_reads_a_store_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let place = Location::Folder(folder.path().join("nothing"));
    let backup = folder.path().join("backup.db");
    let elsewhere = Location::Folder(folder.path().join("elsewhere"));
    assert!(matches!(verify(&place).await, Err(Error::Open { source: OpenError::Missing, .. })));
    assert!(matches!(back_up(&place, &backup).await, Err(Error::Open { .. })));
    assert!(matches!(copy(&place, &elsewhere).await, Err(Error::Open { .. })));
    assert!(matches!(restore(&place, &backup).await, Err(Error::Restore { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
