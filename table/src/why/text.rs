//! A story as plain text: in lines, each of which has a title, and as a whole for a terminal.

use std::fmt;

use model::route::SessionType;
use policy::explain::{Changes, HeaderLine, HeaderStory};

use super::{
    BackendStory, ListenerStory, MirrorStory, Other, RetryStory, SessionStory, Story, TimeoutStory,
    Won,
};

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(listener) = &self.listener {
            writeln!(f, "listener  {listener}")?;
            if let Some(client) = &listener.client {
                writeln!(f, "client    {client}")?;
            }
        }
        if let Some(why) = &self.no_listener {
            writeln!(f, "listener  none: {why}")?;
        }
        match (&self.won, self.reason) {
            (Some(won), _) => won.lines().iter().try_for_each(|line| write!(f, "{line}"))?,
            (None, Some(reason)) if self.listener.is_some() => {
                let status = reason.status().as_u16();
                writeln!(f, "route     none fits: answered {status} {reason}")?;
            }
            (None, _) => {}
        }
        if let Some(policy) = &self.policy {
            write!(f, "{}", Line { title: "policy", text: policy.to_string() })?;
        }
        for (index, other) in self.others.iter().enumerate() {
            writeln!(f, "{}  {other}", if index == 0 { "why not these others\n" } else { "" })?;
        }
        writeln!(f, "table     {}", self.table)
    }
}

impl fmt::Display for ListenerStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        self.set.iter().try_for_each(|set| write!(f, " of ListenerSet {set}"))?;
        write!(f, " of Gateway {}, port {}", self.gateway, self.port)?;
        self.hostname.iter().try_for_each(|host| write!(f, ", host {host}"))
    }
}

/// What a story says of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of what, in a word.
    pub title: &'static str,
    /// What it says; where that is much, in lines of its own.
    pub text: String,
}

/// The title before the first line of the text, and room below the title on the others.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.text.lines().enumerate() {
            writeln!(f, "{:<9} {line}", if index == 0 { self.title } else { "" })?;
        }
        Ok(())
    }
}

impl Won {
    /// Which rule it is, where that leads, and what it changes.
    pub fn lines(&self) -> Vec<Line> {
        let line = |title, text| Line { title, text };
        let host = self.host.iter().map(|host| format!(", host {host}")).collect::<String>();
        let mut lines = vec![
            line("route", self.route.clone()),
            line("rule", format!("{} by {}{host}", self.rule, self.matched)),
        ];
        for one in &self.backends {
            lines.push(line("backend", one.to_string()));
            let own = changes(&one.changes).into_iter();
            let own = own.map(|line| Line { text: format!("to it alone: {}", line.text), ..line });
            lines.extend(own);
            let mirrors = one.mirrors.iter();
            lines.extend(mirrors.map(|copy| line("mirror", format!("of its requests: {copy}"))));
        }
        lines.extend(changes(&self.changes));
        lines.extend(self.mirrors.iter().map(|one| line("mirror", one.to_string())));
        lines.extend(self.timeouts.iter().map(|bounds| line("timeouts", bounds.to_string())));
        lines.extend(self.retry.iter().map(|retry| line("retries", retry.to_string())));
        lines.extend(self.session.iter().map(|session| line("session", session.to_string())));
        lines
    }
}

fn changes(changes: &Changes) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(rewrite) = &changes.rewrite {
        let mut words = Vec::new();
        words.extend(rewrite.path.as_ref().map(|path| format!("to path {path}")));
        words.extend(rewrite.host.as_ref().map(|host| format!("host {host}")));
        words.extend(rewrite.reason.map(|reason| {
            let status = reason.status().as_u16();
            format!("makes no path that could be sent: answered {status} {reason}")
        }));
        lines.push(Line { title: "rewrite", text: words.join(", ") });
    }
    let both = [("request", &changes.request_headers), ("response", &changes.response_headers)];
    let both = both.into_iter().filter_map(|(title, change)| Some((title, change.as_ref()?)));
    lines.extend(both.map(|(title, change)| Line { title, text: headers(change) }));
    lines
}

/// One change a line.
fn headers(change: &HeaderStory) -> String {
    let line = |word: &str, HeaderLine { name, value }: &HeaderLine| match value {
        Some(value) => format!("{word} header {name}: {value}"),
        None => format!("{word} header {name}: a value that is not shown"),
    };
    let set = change.set.iter().map(|header| line("set", header));
    let add = change.add.iter().map(|header| line("add", header));
    let remove = change.remove.iter().map(|name| format!("remove header {name}"));
    set.chain(add).chain(remove).collect::<Vec<_>>().join("\n")
}

impl fmt::Display for BackendStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BackendStory { to, weight, fallback, endpoints, tls, redirect, .. } = self;
        let fallback = if *fallback { ", as a fallback" } else { "" };
        write!(f, "{to}, weight {weight}{fallback}{}", ready(*endpoints))?;
        tls.iter().try_for_each(|tls| write!(f, "; {tls}"))?;
        redirect.iter().try_for_each(|to| write!(f, "; redirected to {to} in its place"))
    }
}

impl fmt::Display for MirrorStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MirrorStory { to, numerator, denominator, endpoints, tls } = self;
        let share = if numerator == denominator {
            "every request".to_owned()
        } else {
            format!("{numerator} of {denominator} requests")
        };
        write!(f, "{to}, {share}{}", ready(*endpoints))?;
        tls.iter().try_for_each(|tls| write!(f, "; {tls}"))
    }
}

fn ready(endpoints: Option<usize>) -> String {
    let words = endpoints
        .map(|count| format!(", {count} endpoint{} ready", if count == 1 { "" } else { "s" }));
    words.unwrap_or_default()
}

impl fmt::Display for TimeoutStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound =
            |bound: &Option<String>| bound.clone().unwrap_or_else(|| "unbounded".to_owned());
        write!(f, "request {}, each try {}", bound(&self.request), bound(&self.backend_request))
    }
}

impl fmt::Display for RetryStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RetryStory { attempts, codes, backoff } = self;
        let times = if *attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
        write!(f, "{times} at most, after {backoff} or longer, where the backend breaks off")?;
        match codes.iter().map(u16::to_string).collect::<Vec<_>>().as_slice() {
            [] => Ok(()),
            codes => write!(f, " or answers {}", codes.join(", ")),
        }
    }
}

impl fmt::Display for SessionStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SessionStory { kind, name, path, absolute_timeout, idle_timeout } = self;
        let kind = match kind {
            SessionType::Cookie => "cookie",
            SessionType::Header => "header",
        };
        write!(f, "stays at its endpoint by {kind} {name}")?;
        path.iter().try_for_each(|path| write!(f, " at {path}"))?;
        absolute_timeout.iter().try_for_each(|bound| write!(f, ", for {bound}"))?;
        idle_timeout.iter().try_for_each(|bound| write!(f, ", {bound} without a request"))
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.rule, self.matched, self.why)
    }
}
