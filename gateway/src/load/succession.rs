//! What one process tells another at a handover of what it has in force.

use std::collections::BTreeSet;

use model::{Key, Resource};
use proxy::process::handover::Stock;

use super::Config;

/// No object that is good has a longer name, and what is no name at all is in force nowhere.
const LONGEST_NAME: usize = 1024;

impl Config {
    /// What is in force, by the last look at the files.
    pub(crate) fn stock(&self) -> Stock {
        let faulty = self.faults.iter().filter_map(|fault| fault.invalid.key.as_ref());
        let unfound = self.unfound();
        Stock {
            served: names(self.shown.keys()).collect(),
            kept: names(self.kept().into_iter().chain(self.torn())).collect(),
            faulty: names(faulty.chain(&self.lacking).chain(&unfound)).collect(),
        }
    }

    /// The certificates that listeners name and that are not there, as where the flag for one was left out.
    fn unfound(&self) -> Vec<Key> {
        let named = self.shown.values().flat_map(Resource::certificates).map(|(_, key)| key);
        named.filter(|key| !self.shown.contains_key(key)).collect()
    }

    /// The objects of files that will be kept as they were, since what stands there now is no whole file.
    fn torn(&self) -> BTreeSet<&Key> {
        let torn = self.pending.torn(&self.files, &self.foreign);
        let held = torn.flat_map(|file| &file.good).filter_map(|held| held.key.as_ref());
        held.filter(|key| self.shown.contains_key(key)).collect()
    }
}

fn names<'k>(keys: impl Iterator<Item = &'k Key>) -> impl Iterator<Item = String> {
    keys.map(ToString::to_string).filter(|name| name.len() <= LONGEST_NAME)
}
