//! What is wrong, and where.

use std::fmt;
use std::path::Path;

use model::{Document, Invalid, Kind, Name};
use serde_json::{Value, json};

use super::foreign::kind_word;

/// A fault with the file it stands in and the object it is about.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) file: Option<String>,
    /// `Service shop/orders`, or `Service` alone where no name could be read.
    pub(crate) object: Option<String>,
    pub(super) instead: Instead,
    pub(crate) invalid: Invalid,
}

/// What counts in the place of an object with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// Nothing, or what is good of it.
    Nothing,
    /// Its last good form.
    LastGood,
    /// Another object of its name.
    Namesake,
}

impl Fault {
    /// A fault of `file`, or of an object in it.
    pub(super) fn new(file: Option<&Path>, invalid: Invalid) -> Self {
        let object = invalid.key.as_ref().map(ToString::to_string);
        let file = file.map(|file| file.display().to_string());
        Fault { file, object, instead: Instead::Nothing, invalid }
    }

    /// The same, of this document.
    pub(super) fn of(mut self, document: &Document) -> Self {
        self.object = self.object.or_else(|| object(document.raw.as_ref()?));
        self
    }

    /// What is wrong and what would be right.
    fn message(&self) -> String {
        let Invalid { reason, nearest, .. } = &self.invalid;
        let near = nearest.as_ref().map(|near| format!("; did you mean '{near}'?"));
        let kept = match self.instead {
            Instead::LastGood => " (its last good form stays in force)",
            Instead::Nothing | Instead::Namesake => "",
        };
        format!("{reason}{}{kept}", near.unwrap_or_default())
    }

    /// `FILE:LINE: `, as far as they are known.
    pub(super) fn place(&self) -> String {
        match (&self.file, self.invalid.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            (None, Some(line)) => format!("line {line}: "),
            (None, None) => String::new(),
        }
    }

    /// The same without its place.
    pub(super) fn told(&self) -> String {
        let path = Some(&self.invalid.path).filter(|path| !path.is_empty());
        let parts = [self.object.as_ref(), path].into_iter().flatten();
        let parts: String = parts.map(|part| format!("{part}: ")).collect();
        parts + &self.message()
    }

    /// As `/config` shows it.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "object": self.object,
            "path": self.invalid.path,
            "file": self.file,
            "line": self.invalid.line,
            "message": self.message(),
        })
    }
}

/// What a document of which no object could be made is called: of a kind that is not read where it has a name.
fn object(raw: &Value) -> Option<String> {
    let kind = raw.get("kind")?.as_str()?;
    let word = |field: &str| raw.get("metadata")?.get(field)?.as_str();
    let read = |field| word(field).map(Name::parse).transpose();
    match (read("namespace"), read("name")) {
        (Ok(namespace), Ok(Some(name))) if kind_word(kind) => Some(match namespace {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        }),
        // An unknown one is in the words of its fault already.
        _ => Kind::parse(kind).map(|kind| kind.to_string()),
    }
}

impl fmt::Display for Fault {
    /// `FILE:LINE: Kind namespace/name: path: what is wrong`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place(), self.told())
    }
}
