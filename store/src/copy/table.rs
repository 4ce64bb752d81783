//! Every table, its columns, and how its rows are ordered.

use crate::db::Value;

/// What a column holds, which a missing value does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Text,
    Int,
    Bytes,
}

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The first `key` of them name a row.
    pub(super) columns: &'static [(&'static str, Sort)],
    pub(super) key: usize,
}

use Sort::{Bytes, Int, Text};

/// The four columns of a key, and what comes after them.
macro_rules! of_resource {
    ($($rest:expr),* $(,)?) => {
        &[("cluster", Text), ("kind", Text), ("namespace", Text), ("name", Text), $($rest),*]
    };
}

/// In an order in which a row comes after those that it refers to. Decisions are not among them:
/// they are of a day, and of no use where the requests are not. Neither are logins, of minutes; nor secrets of
/// sessions, which are made anew: what is deleted each day must not lie in backups for years. With them goes which
/// sessions ended.
pub(super) const TABLES: &[Table] = &[
    Table { name: "counter", key: 1, columns: &[("id", Int), ("revision", Int)] },
    Table { name: "scopes", key: 1, columns: &[("scope", Text), ("revision", Int)] },
    Table {
        name: "revisions",
        key: 1,
        columns: &[
            ("revision", Int),
            ("at", Int),
            ("actor", Text),
            ("request_id", Text),
            ("message", Text),
            ("reverts", Int),
        ],
    },
    Table {
        name: "revision_scopes",
        key: 2,
        columns: &[("revision", Int), ("scope", Text), ("base", Int)],
    },
    Table {
        name: "resources",
        key: 4,
        columns: of_resource![
            ("scope", Text),
            ("owner_team", Text),
            ("source", Text),
            ("generation", Int),
            ("revision", Int),
            ("created", Int),
            ("updated", Int),
            ("digest", Text),
            ("body", Text),
        ],
    },
    Table { name: "labels", key: 5, columns: of_resource![("label", Text), ("value", Text)] },
    Table {
        name: "refs",
        key: 5,
        columns: of_resource![
            ("path", Text),
            ("to_kind", Text),
            ("to_namespace", Text),
            ("to_name", Text),
        ],
    },
    Table {
        name: "grants",
        key: 7,
        columns: of_resource![("subject", Text), ("role", Text), ("scope", Text)],
    },
    Table {
        name: "claims",
        key: 3,
        columns: &[
            ("sort", Text),
            ("host", Text),
            ("path", Text),
            ("workspace", Text),
            ("cluster", Text),
            ("kind", Text),
            ("namespace", Text),
            ("name", Text),
        ],
    },
    Table {
        name: "history",
        key: 5,
        columns: of_resource![
            ("revision", Int),
            ("generation", Int),
            ("verb", Text),
            ("scope", Text),
            ("owner_team", Text),
            ("source", Text),
            ("digest", Text),
            ("body", Text),
        ],
    },
    Table {
        name: "sealed",
        key: 5,
        columns: of_resource![("generation", Int), ("key_id", Text), ("sealed", Bytes)],
    },
    Table {
        name: "audit",
        key: 1,
        columns: &[
            ("seq", Int),
            ("at", Int),
            ("actor", Text),
            ("verb", Text),
            ("object", Text),
            ("outcome", Text),
            ("revision", Int),
            ("detail", Text),
            ("changes", Text),
            ("previous", Text),
            ("hash", Text),
        ],
    },
    Table { name: "audit_head", key: 1, columns: &[("id", Int), ("seq", Int), ("hash", Text)] },
    Table {
        name: "idempotency",
        key: 2,
        columns: &[("actor", Text), ("request_key", Text), ("at", Int), ("answer", Text)],
    },
    Table {
        name: "users",
        key: 1,
        columns: &[
            ("id", Text),
            ("name", Text),
            ("password", Text),
            ("disabled", Int),
            ("created", Int),
            ("updated", Int),
        ],
    },
    Table {
        name: "identities",
        key: 3,
        columns: &[
            ("provider", Text),
            ("issuer", Text),
            ("subject", Text),
            ("user_id", Text),
            ("told", Text),
            ("created", Int),
            ("seen", Int),
        ],
    },
    Table {
        name: "sessions",
        key: 1,
        columns: &[
            ("id", Text),
            ("user_id", Text),
            ("created", Int),
            ("expires", Int),
            ("seen", Int),
            ("agent", Text),
        ],
    },
    Table {
        name: "tokens",
        key: 1,
        columns: &[
            ("id", Text),
            ("user_id", Text),
            ("name", Text),
            ("hash", Text),
            ("scopes", Text),
            ("created", Int),
            ("expires", Int),
            ("revoked", Int),
            ("seen", Int),
        ],
    },
    Table {
        name: "revocations",
        key: 1,
        columns: &[
            ("id", Text),
            ("whom", Text),
            ("at", Int),
            ("actor", Text),
            ("note", Text),
            ("proved_before", Int),
            ("ends", Int),
        ],
    },
    Table {
        name: "access_requests",
        key: 1,
        columns: &[
            ("id", Text),
            ("user_id", Text),
            ("user_name", Text),
            ("scope", Text),
            ("kind", Text),
            ("namespace", Text),
            ("name", Text),
            ("verb", Text),
            ("field", Text),
            ("message", Text),
            ("created", Int),
            ("state", Text),
            ("decided", Int),
            ("decided_by", Text),
            ("answer", Text),
            ("revision", Int),
        ],
    },
    Table {
        name: "join_tokens",
        key: 1,
        columns: &[
            ("id", Text),
            ("hash", Text),
            ("cluster", Text),
            ("kind", Text),
            ("pattern", Text),
            ("uses_left", Int),
            ("created", Int),
            ("expires", Int),
            ("revoked", Int),
        ],
    },
    Table {
        name: "nodes",
        key: 1,
        columns: &[
            ("id", Text),
            ("cluster", Text),
            ("kind", Text),
            ("name", Text),
            ("version", Text),
            ("first_seen", Int),
            ("last_seen", Int),
            ("serial", Text),
            ("certificate_expires", Int),
            ("connected", Int),
            ("serial_before", Text),
            ("standing", Text),
        ],
    },
    Table {
        name: "node_scopes",
        key: 2,
        columns: &[("node", Text), ("scope", Text), ("revision", Int), ("applied_at", Int)],
    },
    Table {
        name: "authorities",
        key: 1,
        columns: &[
            ("id", Text),
            ("cluster", Text),
            ("kind", Text),
            ("certificate", Text),
            ("key_id", Text),
            ("sealed", Bytes),
            ("created", Int),
            ("expires", Int),
            ("state", Text),
            ("moved", Int),
        ],
    },
];

impl Table {
    /// The statement for the rows behind a key, and for the first ones if there is none.
    pub(super) fn page(&self, behind: bool) -> String {
        let key = self.names(self.key);
        let behind = if behind {
            format!("WHERE ({key}) > ({})", places(1, self.key))
        } else {
            String::new()
        };
        let (name, all) = (self.name, self.names(self.columns.len()));
        format!("SELECT {all} FROM {name} {behind} ORDER BY {key} LIMIT {}", super::PAGE)
    }

    /// The statement that adds so many rows.
    pub(super) fn insert(&self, rows: usize) -> String {
        let width = self.columns.len();
        let tuple = |row: usize| format!("({})", places(1 + row * width, width));
        let tuples: Vec<String> = (0..rows).map(tuple).collect();
        format!("INSERT INTO {} ({}) VALUES {}", self.name, self.names(width), tuples.join(", "))
    }

    /// Gives a missing value the type of its column.
    pub(super) fn typed(&self, values: &mut [Value]) {
        for (value, (_, sort)) in values.iter_mut().zip(self.columns) {
            if matches!(value, Value::Text(None) | Value::Int(None) | Value::Bytes(None)) {
                *value = match sort {
                    Text => Value::Text(None),
                    Int => Value::Int(None),
                    Bytes => Value::Bytes(None),
                };
            }
        }
    }

    fn names(&self, count: usize) -> String {
        let names: Vec<&str> = self.columns[..count].iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

/// `$3, $4, $5` for three places from the third.
fn places(first: usize, count: usize) -> String {
    let places: Vec<String> = (first..first + count).map(|place| format!("${place}")).collect();
    places.join(", ")
}
