//! Arguments of `access`: asking for what one may not do, and deciding on what others ask for.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use model::Name;

use super::people::Verb;
use super::{Namespace, Output, Show};
use crate::kind::{Named, name, named};

/// Asking for access.
#[derive(Debug, Subcommand)]
pub(crate) enum Access {
    /// Ask for what you may not do with an object that you may read.
    Request(Request),
    /// List what you asked for, and what is yours to decide.
    List(List),
    /// Give what was asked for, by one Grant.
    Grant(Grant),
    /// Refuse what was asked for.
    Refuse(Refuse),
    /// Take back what you asked for.
    Withdraw(Withdraw),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Request {
    /// What is to be done.
    #[arg(value_enum, ignore_case = true)]
    pub(crate) verb: Verb,
    /// With which object.
    #[arg(value_name = "KIND/NAME", value_parser = named)]
    pub(crate) object: Named,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    /// With this field of it, such as spec.rules.
    #[arg(long, value_name = "PATH")]
    pub(crate) field: Option<String>,
    /// Why; read by whoever decides.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    /// Only what is in this state.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) state: State,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    #[default]
    Open,
    Granted,
    Refused,
    Withdrawn,
    /// Any of these.
    All,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Grant {
    /// The id of the request, as the list shows it.
    pub(crate) id: String,
    /// The role to give, if not the proposed one.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) role: Option<Name>,
    /// Why; kept with the change.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Refuse {
    /// The id of the request, as the list shows it.
    pub(crate) id: String,
    /// Why; read by who asked.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Withdraw {
    /// The id of the request, as the list shows it.
    pub(crate) id: String,
}

impl Access {
    /// How it is to show what comes of it; as a table, where it has no choice.
    pub(super) fn output(&self) -> Output {
        match self {
            Access::Request(args) => args.show.output,
            Access::List(args) => args.show.output,
            Access::Grant(args) => args.show.output,
            Access::Refuse(_) | Access::Withdraw(_) => Output::Table,
        }
    }
}
