//! What a table does with a request: the rule, where it leads, and whether it lets pass.

use std::fmt;
use std::sync::Arc;

use model::Key;
use policy::{Facts, Reason, Verdict};
use table::{Table, Target};

/// What is done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The route whose rule won.
    pub(super) route: Key,
    /// The rule's label.
    rule: Arc<str>,
    /// Where it goes, with shares.
    backends: Vec<(String, u32)>,
    /// The status and reason of an answer of our own; none where it may go on.
    own: Option<(u16, Reason, String)>,
}

impl Answer {
    /// What `table` does with a request; none if no route fits it.
    pub(super) fn of(table: &Table, facts: &Facts<'_>) -> Option<Self> {
        let found = table.find(facts).ok()?;
        let rule = found.rule;
        let to = |target| match target {
            Target::Service(id) => match table.services.get(id) {
                Some(service) => service.label.to_string(),
                None => Reason::BackendMissing.as_str().to_owned(),
            },
            Target::Broken(reason) => reason.as_str().to_owned(),
        };
        let backends = rule.backends.iter().map(|backend| (to(backend.target), backend.weight));
        let own = match rule.chain.uncounted(facts, found.prefix) {
            Verdict::Pass(_) => None,
            Verdict::Answer(answer) => {
                let location =
                    answer.headers.iter().find(|(name, _)| *name == http::header::LOCATION);
                let location = location.map(|(_, to)| String::from_utf8_lossy(to.as_bytes()));
                let to = location.map(|to| format!(" to {to}")).unwrap_or_default();
                Some((answer.status.as_u16(), answer.reason, to))
            }
        };
        let label = Arc::clone(&rule.label);
        Some(Answer { route: rule.route.clone(), rule: label, backends: backends.collect(), own })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} of {}", self.rule, self.route)?;
        let sum: u64 = self.backends.iter().map(|(_, weight)| u64::from(*weight)).sum();
        for (at, (to, weight)) in self.backends.iter().enumerate() {
            let parted = if at == 0 { " to" } else { "," };
            match self.backends.len() {
                1 => write!(f, "{parted} {to}")?,
                _ => write!(f, "{parted} {to} ({weight} of {sum})")?,
            }
        }
        match &self.own {
            None => Ok(()),
            Some((status, reason, to)) => {
                write!(f, "; answered {status} ({}){to}", reason.as_str())
            }
        }
    }
}
