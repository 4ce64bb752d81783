//! A story as plain text, for a terminal.

use std::fmt;

use policy::explain::{Changes, HeaderLine, HeaderStory};

use super::{ListenerStory, MirrorStory, Other, Story, TimeoutStory, Won};

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(listener) = &self.listener {
            writeln!(f, "listener  {listener}")?;
        }
        if let Some(why) = &self.no_listener {
            writeln!(f, "listener  none: {why}")?;
        }
        match (&self.won, self.reason) {
            (Some(won), _) => write!(f, "{won}")?,
            (None, Some(reason)) if self.listener.is_some() => {
                let status = reason.status().as_u16();
                writeln!(f, "route     none fits: answered {status} {reason}")?;
            }
            (None, _) => {}
        }
        if let Some(policy) = &self.policy {
            indented(f, "policy", &policy.to_string())?;
        }
        for (index, other) in self.others.iter().enumerate() {
            write!(f, "{}{other}", if index == 0 { "why not these others\n" } else { "" })?;
        }
        writeln!(f, "table     {}", self.table)
    }
}

impl fmt::Display for ListenerStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of Gateway {}, port {}", self.name, self.gateway, self.port)?;
        self.hostname.iter().try_for_each(|host| write!(f, ", host {host}"))
    }
}

impl fmt::Display for Won {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "route     {}", self.route)?;
        write!(f, "rule      {} by {}", self.rule, self.matched)?;
        self.host.iter().try_for_each(|host| write!(f, ", host {host}"))?;
        writeln!(f)?;
        for backend in &self.backends {
            let (to, weight) = (&backend.to, backend.weight);
            writeln!(f, "backend   {to}, weight {weight}, {}", ready(backend.endpoints))?;
        }
        changes(f, &self.changes)?;
        self.mirrors.iter().try_for_each(|mirror| writeln!(f, "mirror    {mirror}"))?;
        self.timeouts.iter().try_for_each(|bounds| writeln!(f, "timeouts  {bounds}"))
    }
}

fn changes(f: &mut fmt::Formatter<'_>, changes: &Changes) -> fmt::Result {
    if let Some(rewrite) = &changes.rewrite {
        let mut words = Vec::new();
        words.extend(rewrite.path.as_ref().map(|path| format!("to path {path}")));
        words.extend(rewrite.host.as_ref().map(|host| format!("host {host}")));
        words.extend(rewrite.reason.map(|reason| {
            let status = reason.status().as_u16();
            format!("makes no path that could be sent: answered {status} {reason}")
        }));
        writeln!(f, "rewrite   {}", words.join(", "))?;
    }
    let both = [("request", &changes.request_headers), ("response", &changes.response_headers)];
    for (title, change) in both {
        if let Some(change) = change {
            indented(f, title, &headers(change))?;
        }
    }
    Ok(())
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

impl fmt::Display for MirrorStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MirrorStory { to, numerator, denominator, endpoints } = self;
        let share = if numerator == denominator {
            "every request".to_owned()
        } else {
            format!("{numerator} of {denominator} requests")
        };
        write!(f, "{to}, {share}, {}", ready(*endpoints))
    }
}

fn ready(endpoints: usize) -> String {
    format!("{endpoints} endpoint{} ready", if endpoints == 1 { "" } else { "s" })
}

impl fmt::Display for TimeoutStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound =
            |bound: &Option<String>| bound.clone().unwrap_or_else(|| "unbounded".to_owned());
        write!(f, "request {}, each try {}", bound(&self.request), bound(&self.backend_request))
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} ({}): {}", self.rule, self.matched, self.why)
    }
}

/// `text` with a title before its first line and room below the title on the others.
fn indented(f: &mut fmt::Formatter<'_>, title: &str, text: &str) -> fmt::Result {
    for (index, line) in text.lines().enumerate() {
        writeln!(f, "{:<9} {line}", if index == 0 { title } else { "" })?;
    }
    Ok(())
}
