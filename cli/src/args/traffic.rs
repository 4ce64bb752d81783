//! What `traffic` may be told.

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use model::Name;

use super::output::Show;
use super::{name, span};

#[derive(Debug, ClapArgs)]
pub(crate) struct Traffic {
    /// Only of what belongs to this workspace.
    #[arg(long, value_parser = name)]
    pub(crate) workspace: Option<Name>,
    /// Only of what lies in this namespace.
    #[arg(short, long, value_parser = name)]
    pub(crate) namespace: Option<Name>,
    /// Only of routes of this Api.
    #[arg(long, value_parser = name)]
    pub(crate) api: Option<Name>,
    /// Only of this route.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub(crate) route: Option<String>,
    /// Only what was sent to this Service, or Workload.
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]")]
    pub(crate) backend: Option<String>,
    /// Only of this caller, as it is listed.
    #[arg(long)]
    pub(crate) caller: Option<String>,
    /// Only what this node counted.
    #[arg(long)]
    pub(crate) node: Option<String>,
    /// Only what was counted in this cluster.
    #[arg(long)]
    pub(crate) cluster: Option<String>,
    /// Only what was counted on this side of an application.
    #[arg(long, value_enum)]
    pub(crate) side: Option<Side>,
    /// Of the last so long, at most 15m.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = span)]
    pub(crate) window: Duration,
    /// Go on telling, every two seconds, until stopped.
    #[arg(short, long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// Where requests are counted; one is counted once on each side that it passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// Where they enter the installation.
    Edge,
    /// Where they leave the proxy of who asks.
    Outbound,
    /// Where they come to the proxy of who is asked.
    Inbound,
}

impl Side {
    /// As the server names it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Side::Edge => "edge",
            Side::Outbound => "outbound",
            Side::Inbound => "inbound",
        }
    }
}
