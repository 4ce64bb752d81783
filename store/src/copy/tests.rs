//! The list of tables and the migrations say the same.

use super::table::TABLES;
use crate::db::{Db, Open};
use crate::migration;

#[tokio::test]
async fn every_table_and_column_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::sqlite(&folder.path().join("heddle.db"), Open::OrCreate).await.unwrap();
    migration::run(&db).await.unwrap();
    let columns = "SELECT t.name, c.name, c.pk FROM sqlite_master t, pragma_table_info(t.name) c \
                   WHERE t.type = 'table' AND t.name NOT IN \
                   ('migrations', 'decisions', 'logins', 'session_secrets', 'key_sets', \
                    'revocation_counter', 'ended_sessions') \
                   ORDER BY t.name, c.cid";
    let mut there = Vec::new();
    for mut row in db.read(columns, &[]).await.unwrap() {
        there.push((row.text().unwrap(), row.text().unwrap(), row.is().unwrap()));
    }
    let of = |table: &super::Table| {
        let one = |(at, (column, _)): (usize, &(&str, _))| {
            (table.name.to_owned(), (*column).to_owned(), at < table.key)
        };
        table.columns.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    let mut tables: Vec<_> = TABLES.iter().collect();
    tables.sort_by_key(|table| table.name);
    let listed: Vec<_> = tables.into_iter().flat_map(of).collect();
    assert_eq!(listed, there);
}
