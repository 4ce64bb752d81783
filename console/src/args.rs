//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap::{error::ErrorKind, parser::ValueSource};
use control::keep::{self, Location, NotAnAddress};

use crate::nodes::{FLAGS, ForNodes};

/// Heddle's server: the console, over the store that it keeps.
#[derive(Debug, Parser)]
#[command(name = "heddle-server", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
    #[command(flatten)]
    pub(crate) at: At,
}

/// The other doors.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write all but the seal keys into a new file, also while a server runs.
    ///
    /// What is sealed (values of secrets, private keys of authorities) opens only with the key
    /// file, keys/seal.json of the data folder: keep a copy of it elsewhere than the backup.
    Backup {
        /// A file that is not there yet.
        file: PathBuf,
    },
    /// Read a backup into a store that is empty or not there yet.
    ///
    /// Put the key file that belongs to the backup into keys/seal.json of the data folder first.
    /// A store that is not empty is refused and stays as it is.
    Restore {
        /// What `backup` wrote.
        file: PathBuf,
    },
    /// Move the store, or verify its audit.
    #[command(subcommand)]
    Store(StoreCommand),
}

/// What is done with the store as a whole.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy all into an empty store: from SQLite to PostgreSQL, or back.
    ///
    /// Resources, history, audit and authorities come along. Stop all servers first: what they
    /// write after the copy began is not in it.
    ///
    /// Seal keys: a copy to a URL goes on with the key file in --data, which never goes into a
    /// database; start servers with the same --data, or bring them its folder `keys`. A copy to a
    /// folder takes the keys along into its own folder `keys`.
    Copy {
        /// A PostgreSQL database (postgres://...) or a folder, empty or not there yet; or @FILE,
        /// a file in which that stands.
        ///
        /// Give a URL with a password in a file or in the environment: other users of a machine see
        /// arguments.
        #[arg(long, value_name = "URL|DIR|@FILE", env = "HEDDLE_COPY_TO", hide_env_values = true)]
        to: Private,
    },
    /// Walk the audit from its first row; exit 1 if one is not as it was written.
    Verify,
}

/// What serving needs.
#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// Where to listen; port 0 picks a free one, which the log names.
    #[arg(long, default_value = "127.0.0.1:7080", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// The folder with the browser's half of the console.
    #[arg(long, value_name = "DIR")]
    pub(crate) site: Option<PathBuf>,
    /// A name under which people reach it, besides localhost and addresses; may be given again.
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// TLS ends right before the server: cookies are sent over it alone, and the last address in
    /// X-Forwarded-For is where a request comes from.
    #[arg(long)]
    pub(crate) behind_tls: bool,
    /// The password of the user `admin`, who is made at the first start; one is made if no file is
    /// given.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) nodes: ForNodes,
}

/// The arguments that only serving takes.
const SERVE: [&str; 5] = ["listen", "site", "hosts", "behind_tls", "admin_password_file"];

/// Where the store is.
#[derive(Debug, ClapArgs)]
pub(crate) struct At {
    /// The data folder: the store, or its keys alone where there is a --database.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "HEDDLE_DATA",
        default_value = "heddle-data"
    )]
    data: PathBuf,
    /// A PostgreSQL database that holds the store: postgres://USER:PASSWORD@HOST/DATABASE.
    ///
    /// Rather give it in the environment: other users of a machine see arguments.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "HEDDLE_DATABASE",
        hide_env_values = true
    )]
    database: Option<Private>,
}

impl At {
    /// Where that is.
    pub(crate) fn place(&self) -> Result<Location, NotAnAddress> {
        // An empty variable is how a shell or a unit file unsets one.
        let database = self.database.as_ref().map(|url| url.0.as_str());
        keep::place(&self.data, database.filter(|url| !url.is_empty()))
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.data
    }

    /// Where a copy goes.
    pub(crate) fn target(&self, to: &Private) -> Result<Location, NoPlace> {
        let to = to.read()?;
        // An empty variable is how a shell or a unit file unsets one.
        if to.is_empty() {
            return Err(NoPlace::Empty);
        }
        Ok(keep::target(&to, &self.data)?)
    }
}

/// Why it is not known where a copy goes. None of these repeats an address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPlace {
    /// Nothing was said.
    #[error("--to says nothing; write postgres://USER:PASSWORD@HOST/DATABASE or a folder")]
    Empty,
    /// The file in which it stands cannot be read.
    #[error("reading where to copy in {}: {why}", file.display())]
    Unread {
        /// Which.
        file: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// It is no place.
    #[error(transparent)]
    NotAnAddress(#[from] NotAnAddress),
}

/// An argument that may hold a password. It takes any text: of one that it refused, clap would
/// print the value.
#[derive(Clone)]
pub(crate) struct Private(String);

impl Private {
    /// It, or what stands in the file that it names as `@FILE`.
    fn read(&self) -> Result<String, NoPlace> {
        let Some(file) = self.0.strip_prefix('@') else { return Ok(self.0.clone()) };
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|why| NoPlace::Unread { file: file.into(), why })?;
        Ok(text.trim().to_owned())
    }
}

impl From<String> for Private {
    fn from(text: String) -> Self {
        Private(text)
    }
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Private(..)")
    }
}

/// Reads the command line, or ends the process as clap does.
pub(crate) fn read() -> Args {
    parse(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

fn parse<T>(words: impl IntoIterator<Item = T>) -> Result<Args, clap::Error>
where
    T: Into<std::ffi::OsString> + Clone,
{
    let mut command = Args::command();
    let matches = command.try_get_matches_from_mut(words)?;
    let given = |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if let (Some(name), Some(id)) =
        (matches.subcommand_name(), SERVE.iter().chain(&FLAGS).find(given))
    {
        let flag = if *id == "hosts" { "host".to_owned() } else { id.replace('_', "-") };
        let wrong = format!("--{flag} is for serving; '{name}' takes none");
        return Err(command.error(ErrorKind::ArgumentConflict, wrong));
    }
    Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_may_stand_on_either_side_of_a_command() {
        for words in [["--data", "d", "store", "verify"], ["store", "verify", "--data", "d"]] {
            let args = parse(["heddle-server"].into_iter().chain(words)).unwrap();
            assert_eq!(args.at.data, PathBuf::from("d"), "{words:?}");
        }
    }

    #[test]
    fn what_is_for_serving_is_refused_elsewhere() {
        let error = parse(["heddle-server", "--site", "s", "backup", "b"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--site is for serving"), "{error}");
    }

    #[test]
    fn the_target_of_a_copy_is_read_from_a_file_and_never_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("to");
        let target = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let to = format!("@{}", file.display());
            let args = parse(["heddle-server", "store", "copy", "--to", &to]).unwrap();
            let Some(Command::Store(StoreCommand::Copy { to })) = &args.command else { panic!() };
            args.at.target(to)
        };
        let url = "postgres://heddle:marker@db/heddle";
        let place = Location::Postgres { url: url.to_owned(), folder: "heddle-data".into() };
        assert_eq!(target(&format!("{url}\n")).unwrap(), place);
        assert_eq!(target("elsewhere").unwrap(), Location::Folder("elsewhere".into()));
        for wrong in [
            "mysql://heddle:marker@db/heddle",
            "postgres:/heddle:marker@db/heddle",
            "heddle:marker@db/heddle",
            " \n",
        ] {
            let error = target(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("marker"), "{error}");
        }
        let args = parse(["heddle-server"]).unwrap();
        let error = args.at.target(&Private("@nowhere/to".to_owned())).unwrap_err();
        assert!(error.to_string().starts_with("reading where to copy in nowhere/to: "), "{error}");
    }

    #[test]
    fn no_form_of_the_arguments_tells_an_address() {
        let url = "postgres://heddle:marker@db/heddle";
        let words = ["heddle-server", "--database", url, "store", "copy", "--to", url];
        let args = parse(words).unwrap();
        assert!(!format!("{args:?}").contains("marker"));
        let twice = parse(["heddle-server", "--database", url, "--database", url]).unwrap_err();
        assert!(!twice.to_string().contains("marker"), "{twice}");
    }
}
