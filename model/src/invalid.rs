//! What is wrong with a resource, said so that its author can mend it.

use std::fmt;

use serde::Serialize;

use crate::Key;

/// One fault of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invalid {
    /// The object, where it could be told from the document.
    pub key: Option<Key>,
    /// Where in the object: `spec.rules[0].matches[1].path.value`; empty for the object itself.
    pub path: String,
    /// Line in the file, counted from 1; `None` where the object came from no file.
    pub line: Option<usize>,
    /// What is wrong and what would be right, without a full stop.
    pub reason: String,
    /// The known word nearest to the one written, where one is near.
    pub nearest: Option<String>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)?;
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean '{nearest}'?")?;
        }
        Ok(())
    }
}

/// Collects the faults of one object while its `check` walks it; knows the path it stands at.
///
/// ```
/// let mut at = model::Checker::default();
/// at.within("spec", |at| at.each("ports", &[80, 0], |at, port| {
///     if *port == 0 {
///         at.fault("a port is 1 to 65535");
///     }
/// }));
/// assert_eq!(at.faults(), [("spec.ports[1]".to_owned(), "a port is 1 to 65535".to_owned())]);
/// ```
#[derive(Debug, Default)]
pub struct Checker {
    path: String,
    faults: Vec<(String, String)>,
}

impl Checker {
    /// Records a fault at the place where the checker stands.
    pub fn fault(&mut self, reason: impl Into<String>) {
        self.faults.push((self.path.clone(), reason.into()));
    }

    /// Records a fault at `field` below the place where the checker stands.
    pub fn fault_in(&mut self, field: &str, reason: impl Into<String>) {
        self.within(field, |at| at.fault(reason));
    }

    /// A field that is read but that this version does not enforce: refused by name, since
    /// storing it without effect would promise what is not kept.
    pub fn unenforced<T>(&mut self, field: &str, value: Option<&T>) {
        if value.is_some() {
            self.fault_in(field, "this version does not enforce this field; remove it");
        }
    }

    /// Runs `check` with the checker standing at `field`.
    pub fn within(&mut self, field: &str, check: impl FnOnce(&mut Self)) {
        let back = self.path.len();
        if !self.path.is_empty() && !field.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(field);
        check(self);
        self.path.truncate(back);
    }

    /// Runs `check` on each item of the list `field`, standing at `field[index]`.
    pub fn each<'a, T>(
        &mut self,
        field: &str,
        items: &'a [T],
        mut check: impl FnMut(&mut Self, &'a T),
    ) {
        for (index, item) in items.iter().enumerate() {
            self.within(&format!("{field}[{index}]"), |at| check(at, item));
        }
    }

    /// The faults so far as (path, reason).
    pub fn faults(self) -> Vec<(String, String)> {
        self.faults
    }
}
