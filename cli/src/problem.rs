//! A refusal as the server tells it (RFC 9457), and as a person reads it.
//!
//! Each line of `detail` stands as the server words it; before it, where the command was given
//! files, the `FILE:LINE` that it speaks of. At the end stands what to do next.

use std::fmt;

use model::{Key, Kind, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::manifest::Manifest;
use crate::show::printable;

/// Where the sorts of problem are named.
const TYPES: &str = "https://heddle.dev/problems/";

/// What to do with a Secret as `get` shows it.
const HIDDEN: &str = "\
    the values of a Secret are never shown: what get prints of them are digests, to compare by; \
    write the values themselves, as text in stringData or as base64 in data, or leave the Secret \
    out of the files, and it stays as it is";

/// What was refused and why.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Problem {
    /// An address whose last part says what sort it is.
    pub(crate) r#type: String,
    pub(crate) title: String,
    pub(crate) status: u16,
    /// All in words, one a line.
    pub(crate) detail: String,
    pub(crate) request_id: String,
    /// Seconds after which it may be tried again.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
    /// What to do, where the command knows better than the sort of problem.
    #[serde(skip)]
    pub(crate) remedy: Option<String>,
    /// All that the server sent; nothing where it sent nothing.
    #[serde(skip)]
    sent: Option<Value>,
}

impl Problem {
    /// The problem that a server sent.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let sent: Value = serde_json::from_slice(body).ok()?;
        let problem = Problem::deserialize(&sent).ok()?;
        Some(Problem { sent: Some(sent), ..problem })
    }

    /// One of this sort that was found without a server.
    pub(crate) fn here(sort: &str, title: &str, detail: &str) -> Self {
        Problem {
            r#type: format!("{TYPES}{sort}"),
            title: title.to_owned(),
            detail: detail.to_owned(),
            ..Problem::default()
        }
    }

    /// It as the server sent it. What was found without one has no status and no request.
    pub(crate) fn json(&self) -> Value {
        let Problem { r#type, title, detail, .. } = self;
        let here = || json!({ "type": r#type, "title": title, "detail": detail });
        self.sent.clone().unwrap_or_else(here)
    }

    /// `claimed` of `https://heddle.dev/problems/claimed`.
    pub(crate) fn sort(&self) -> &str {
        self.r#type.rsplit('/').next().unwrap_or_default()
    }

    /// Says before each line where in `manifest` it belongs, if that can be told, and at the end
    /// what to do with the files.
    pub(crate) fn placed(self, manifest: &Manifest) -> Self {
        // What a whole object is refused for is its generation, or nothing that has a line.
        let whole = if self.sort() == "conflict" { "metadata.generation" } else { "" };
        let mut advised = self.advised(manifest);
        let lines = advised.detail.lines().map(|line| placed(line, manifest, whole));
        advised.detail = lines.collect::<Vec<_>>().join("\n");
        advised
    }

    /// Says what to do with files that are refused for what `get` printed.
    fn advised(mut self, manifest: &Manifest) -> Self {
        let advice = match self.sort() {
            "conflict" => self.detail.lines().find_map(spoken_of).map(|(key, _)| anew(&key)),
            "invalid" => manifest.has_digests().then(|| HIDDEN.to_owned()),
            _ => None,
        };
        self.remedy = self.remedy.or(advice);
        self
    }

    fn remedy(&self) -> Option<String> {
        if self.remedy.is_some() {
            return self.remedy.clone();
        }
        let again = || match self.retry_after {
            Some(seconds) => format!("try again in {seconds} s"),
            None => "try again later".to_owned(),
        };
        Some(match self.sort() {
            "unauthenticated" => "sign in: heddle login".to_owned(),
            "forbidden" => self.access().or_else(|| self.can_i())?,
            "conflict" => "see what is there now: heddle diff -f FILE".to_owned(),
            "busy" | "too-many-attempts" | "unavailable" => again(),
            "gone" => "ask for the list from its beginning".to_owned(),
            // These say what would be right, or whom to ask, line by line.
            "claimed"
            | "decided"
            | "invalid"
            | "malformed"
            | "too-large"
            | "not-found"
            | "idempotency-mismatch" => {
                return None;
            }
            _ if self.request_id.is_empty() => return None,
            _ => format!("the server's log tells more of request {}", self.request_id),
        })
    }

    /// How to learn more of one's rights on what was refused.
    fn can_i(&self) -> Option<String> {
        let (Key { kind, namespace, name }, _) = self.detail.lines().find_map(spoken_of)?;
        Some(format!("more of your rights: heddle auth can-i update {kind}/{namespace}/{name}"))
    }

    /// How to ask for what was refused, where the server says that it can be asked for.
    fn access(&self) -> Option<String> {
        let access = self.sent.as_ref()?.pointer("/access/0")?;
        // Nothing that a shell would read otherwise, whatever a server says.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let plain = |part| access[part].as_str().filter(|word: &&str| word.bytes().all(is_plain));
        let verb = plain("verb")?.to_ascii_lowercase();
        let object = format!("{}/{}/{}", plain("kind")?, plain("namespace")?, plain("name")?);
        let field = match access["field"].as_str() {
            Some(field) if !field.contains(['\'', '\\']) => format!(" --field '{field}'"),
            Some(_) => return None,
            None => String::new(),
        };
        Some(format!("ask for it: heddle access request {verb} {object}{field}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.detail.trim_end(), self.title.as_str()) {
            ("", "") => write!(f, "heddle: the server answered {}", self.status)?,
            ("", title) => write!(f, "heddle: {}", printable(title))?,
            (detail, _) => {
                let lines: Vec<_> = detail.lines().map(printable).collect();
                f.write_str(&lines.join("\n"))?;
            }
        }
        match self.remedy() {
            Some(remedy) => write!(f, "\n{}", printable(&remedy)),
            None => Ok(()),
        }
    }
}

/// What is wrong with the files of `manifest`, each fault behind its place, found without a server.
pub(crate) fn local(faults: &[String], manifest: &Manifest) -> Failure {
    let problem = Problem::here("invalid", "What the files say is wrong", &faults.join("\n"));
    problem.advised(manifest).into()
}

/// What to do with a file that says an older generation of `key` than the server has.
fn anew(key: &Key) -> String {
    let Key { kind, namespace, name } = key;
    format!(
        "get it anew (heddle get {kind}/{namespace}/{name} -o yaml) and edit that; or remove the \
         line metadata.generation, to write over what others did"
    )
}

/// `line` behind its place; one that names no path of its object is about the path `whole`.
fn placed(line: &str, manifest: &Manifest, whole: &str) -> String {
    let numbered = line.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    if let Some((number, words)) = numbered
        && let Some(place) = number.parse().ok().and_then(|number| manifest.place(number))
    {
        return format!("{place}: {words}");
    }
    let place = spoken_of(line).and_then(|(key, path)| {
        let path = if path.is_empty() { whole } else { path };
        manifest.place_of(&key, path)
    });
    match place {
        Some(place) => format!("{place}: {line}"),
        None => line.to_owned(),
    }
}

/// The object and path of `HTTPRoute shop/r: spec.rules[0]: reason`.
fn spoken_of(line: &str) -> Option<(Key, &str)> {
    let (kind, rest) = line.split_once(' ')?;
    let end = rest.find([' ', ':', ',', ';']).unwrap_or(rest.len());
    let (namespace, name) = rest[..end].split_once('/')?;
    let parse = |word: &str| Name::parse(word).ok();
    let key = Key::new(Kind::parse(kind)?, parse(namespace)?, parse(name)?);
    let path = rest[end..].strip_prefix(": ").and_then(|rest| rest.split_once(": "));
    // A path has no spaces but in quotes; anything else leads to the object itself.
    Some((key, path.map_or("", |(path, _)| path)))
}

#[cfg(test)]
mod tests;
