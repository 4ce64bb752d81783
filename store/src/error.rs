//! What can go wrong with a database, told apart by what a person does about it.

/// A statement or a connection failed. Each says the remedy; the cause is for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection to be had, or it broke.
    #[error("the database cannot be reached; see that it runs and that its address is right")]
    Unreachable(#[source] sqlx::Error),
    /// It does not let us in.
    #[error("the database refuses us; check user, password, database name and file permissions")]
    Refused(#[source] sqlx::Error),
    /// There is no room left.
    #[error("the database's disk is full; nothing was written; free some space and try again")]
    Full(#[source] sqlx::Error),
    /// Somebody else holds it for longer than we wait.
    #[error("the database is locked; end other programs that write to it, or try again")]
    Locked(#[source] sqlx::Error),
    /// The database itself says that its files are broken.
    #[error("the database is damaged; stop all programs that use it and restore a backup")]
    Damaged(#[source] sqlx::Error),
    /// A row does not hold what we wrote.
    #[error("the database holds something that Heddle did not write: {0}; restore a backup")]
    Unreadable(String),
    /// The row would stand beside one that is there, or without one that it needs.
    #[error("another row stands in the way, or one that is needed is not there")]
    Conflict(#[source] sqlx::Error),
    /// What is none of these; a statement of ours is wrong.
    #[error("the database could not do a statement; please report it")]
    Statement(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(said) => {
                let code = said.code().unwrap_or_default().into_owned();
                // SQLSTATE has five characters, of which SQLite's numbers have at most four.
                if code.len() == 5 { postgres(&code, error) } else { sqlite(&code, error) }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Tls(_)
            | sqlx::Error::Configuration(_) => Error::Unreachable(error),
            _ => Error::Statement(error),
        }
    }
}

/// By PostgreSQL's list of SQLSTATE codes.
fn postgres(code: &str, error: sqlx::Error) -> Error {
    match (&code[..2], code) {
        ("08" | "57", _) | (_, "53300") => {
            if code == "57014" {
                Error::Locked(error)
            } else {
                Error::Unreachable(error)
            }
        }
        ("28" | "3D", _) | (_, "42501") => Error::Refused(error),
        (_, "53100") => Error::Full(error),
        (_, "55P03" | "40P01" | "40001") => Error::Locked(error),
        ("XX", _) => Error::Damaged(error),
        ("23", _) => Error::Conflict(error),
        _ => Error::Statement(error),
    }
}

/// By SQLite's result codes, of which the low byte is the primary one.
fn sqlite(code: &str, error: sqlx::Error) -> Error {
    match code.parse::<i64>().unwrap_or_default() & 0xff {
        5 | 6 => Error::Locked(error),
        3 | 8 | 23 => Error::Refused(error),
        11 | 26 => Error::Damaged(error),
        13 => Error::Full(error),
        10 | 14 => Error::Unreachable(error),
        19 => Error::Conflict(error),
        _ => Error::Statement(error),
    }
}
