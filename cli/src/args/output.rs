//! How results are shown, and which command shows them how.

use clap::{Args as ClapArgs, ValueEnum};

use super::Command;
use super::people::{
    Audit, AuditCommand, Auth, Authority, JoinToken, KeySet, Revocation, SessionSecret, Token, User,
};

/// How results are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// The server's answer.
    Json,
    /// The same as YAML.
    Yaml,
}

/// How results are shown, where a command can do so.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Show {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// How `get` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum GetOutput {
    /// For people.
    #[default]
    Table,
    /// The server's answer.
    Json,
    /// The same as YAML.
    Yaml,
    /// KIND/NAMESPACE/NAME, which every command takes back.
    Name,
}

impl Command {
    /// How it is to show what comes of it; as a table, where it has no choice.
    pub(crate) fn output(&self) -> Output {
        match self {
            Command::Whoami(show) | Command::Status(show) => show.output,
            Command::Apply(args) => args.show.output,
            Command::Get(args) => match args.output {
                GetOutput::Table | GetOutput::Name => Output::Table,
                GetOutput::Json => Output::Json,
                GetOutput::Yaml => Output::Yaml,
            },
            Command::Delete(args) => args.show.output,
            Command::Diff(args) => args.show.output,
            Command::Plan(args) => args.show.output,
            Command::Explain(args) => args.show.output,
            Command::Traffic(args) => args.show.output,
            Command::History(args) => args.show.output,
            Command::Rollback(args) => args.show.output,
            Command::Transfer(args) => args.show.output,
            Command::Auth(Auth::CanI(args)) => args.show.output,
            Command::Access(args) => args.output(),
            Command::Consumer(args) => args.output(),
            Command::Revoke(args) => args.output(),
            Command::Token(args) => args.output(),
            Command::User(args) => args.output(),
            Command::JoinToken(args) => args.output(),
            Command::Authority(args) => args.output(),
            Command::SessionSecret(SessionSecret::Rotate(args)) => args.show.output,
            Command::KeySet(KeySet::List(show)) => show.output,
            Command::KeySet(KeySet::Fetch(args)) => args.show.output,
            Command::Audit(args) => args.output(),
            Command::Login(_)
            | Command::Logout
            | Command::Describe(_)
            | Command::Node(_)
            | Command::Completion(_)
            | Command::Version => Output::Table,
        }
    }
}

impl Revocation {
    fn output(&self) -> Output {
        match self {
            Revocation::User(args) => args.how.show.output,
            Revocation::Consumer(args) | Revocation::Key(args) => args.how.show.output,
            Revocation::List(show) => show.output,
            Revocation::Lift(_) => Output::Table,
        }
    }
}

impl Token {
    fn output(&self) -> Output {
        match self {
            Token::Create(args) => args.show.output,
            Token::List(show) => show.output,
            Token::Revoke(_) => Output::Table,
        }
    }
}

impl Authority {
    fn output(&self) -> Output {
        match self {
            Authority::Show(show) | Authority::Rotate(show) | Authority::Abandon(show) => {
                show.output
            }
            Authority::Advance(args) => args.show.output,
        }
    }
}

impl User {
    fn output(&self) -> Output {
        match self {
            User::Create(args) => args.show.output,
            User::List(show) => show.output,
            User::Revoke(_) | User::Password(_) => Output::Table,
        }
    }
}

impl JoinToken {
    fn output(&self) -> Output {
        match self {
            JoinToken::Create(args) => args.show.output,
            JoinToken::List(show) => show.output,
            JoinToken::Revoke(_) => Output::Table,
        }
    }
}

impl Audit {
    fn output(&self) -> Output {
        match &self.command {
            Some(AuditCommand::Verify(show)) => show.output,
            None => self.show.output,
        }
    }
}
