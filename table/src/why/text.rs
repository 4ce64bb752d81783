//! A story as plain text, for a terminal.

use std::fmt;

use super::{ListenerStory, Other, Story, Won};

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.listener {
            Some(listener) => writeln!(f, "listener  {listener}")?,
            None => writeln!(f, "listener  none serves this host on this port")?,
        }
        match (&self.won, self.reason) {
            (Some(won), _) => write!(f, "{won}")?,
            (None, Some(reason)) => {
                writeln!(f, "route     none fits: answered {} {reason}", reason.status())?;
            }
            (None, None) => {}
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
            let (to, weight, ready) = (&backend.to, backend.weight, backend.endpoints);
            writeln!(f, "backend   {to}, weight {weight}, {ready} endpoints ready")?;
        }
        Ok(())
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
