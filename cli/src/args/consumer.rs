//! The arguments of `consumer`.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use model::Name;

use super::span::span;
use super::{Namespace, Show};
use crate::kind::name;

/// Consumers: who calls by a name of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Consumer {
    /// Give a Consumer a further key, and make the Consumer where there is none; the key is printed once, and
    /// nothing but its digest leaves this machine.
    Key(ConsumerKey),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ConsumerKey {
    /// The Consumer.
    #[arg(value_parser = name)]
    pub(crate) consumer: Name,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    /// What the key is called; the day, where it is not said.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) name: Option<Name>,
    /// How long it holds; until it is taken out, where it is not said.
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub(crate) valid: Option<Duration>,
    /// How long the keys that there are go on holding beside it; as before, where it is not said.
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub(crate) overlap: Option<Duration>,
    /// The Api that a new Consumer is to belong to.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) api: Option<Name>,
    #[command(flatten)]
    pub(crate) show: Show,
}

impl Consumer {
    pub(super) fn output(&self) -> super::Output {
        match self {
            Consumer::Key(args) => args.show.output,
        }
    }
}
