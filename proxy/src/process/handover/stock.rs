//! What a process has in force, so that none takes the place of one that has more than its files would take away.

use std::collections::{BTreeSet, HashSet};

/// The objects of a process, each as `Kind namespace/name`.
#[derive(Debug, Default)]
pub struct Stock {
    /// Those in force, in whatever form.
    pub served: HashSet<String>,
    /// Those in force in an older form than the one that was last read.
    pub kept: BTreeSet<String>,
    /// Those with a fault, in force or not.
    pub faulty: BTreeSet<String>,
}

impl Stock {
    /// What is not in force here as it should be: whatever is refused, and what another process has `kept` and
    /// this one lacks or has with a fault. That may be the very fault for which it was kept: a policy that leads
    /// nowhere is in force, and protects nothing.
    #[must_use]
    pub fn lacks(&self, kept: &BTreeSet<String>) -> BTreeSet<String> {
        let is_served = |object: &String| self.served.contains(object);
        let refused = self.faulty.iter().filter(|object| !is_served(object));
        let is_lost = |object: &String| !is_served(object) || self.faulty.contains(object);
        let lost = kept.iter().filter(|object| is_lost(object));
        refused.chain(lost).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_one_keeps_has_to_be_here_without_a_fault() {
        let set = |objects: &[&str]| objects.iter().map(|object| (*object).to_owned()).collect();
        let stock = Stock {
            served: ["good", "odd"].map(str::to_owned).into(),
            faulty: set(&["odd", "refused"]),
            ..Stock::default()
        };
        for (kept, lacks) in [
            (&[][..], &["refused"][..]),
            (&["good"], &["refused"]),
            (&["odd"], &["odd", "refused"]),
            (&["gone", "refused"], &["gone", "refused"]),
        ] {
            assert_eq!(stock.lacks(&set(kept)), set(lacks), "{kept:?}");
        }
    }
}
