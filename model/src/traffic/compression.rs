//! `compression` of a TrafficPolicy: which answers are made smaller on their way to a caller, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;

/// Which answers a gateway compresses, of those that the Service did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compression {
    /// The codings, the one that is liked best first: of those that a caller takes equally gladly it
    /// gets the first. All three in the order `zstd`, `br`, `gzip` where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub algorithms: Vec<Coding>,
    /// The media types, as `type/subtype` or `type/*`. Where none is written: `text/*` but streams of events,
    /// JSON, JavaScript, XML, WebAssembly, fonts that are not compressed, and all that end in `+json` or
    /// `+xml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 3, max = 128)))]
    pub types: Vec<String>,
    /// An answer that says to be shorter, in bytes, goes as it is; 1024 where nothing is written.
    #[serde(default = "kibibyte")]
    #[schemars(range(min = 0, max = 1_048_576))]
    pub min_bytes: u32,
}

fn kibibyte() -> u32 {
    1024
}

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Br,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Those that are used where none is written.
    pub const ALL: [Self; 3] = [Coding::Zstd, Coding::Br, Coding::Gzip];

    /// As headers have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Br => "br",
            Coding::Gzip => "gzip",
        }
    }
}

/// What is compressed where nothing else is written, besides `text/*`, `+json` and `+xml`.
const USUAL: [&str; 9] = [
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/wasm",
    "application/vnd.ms-fontobject",
    "application/x-font-ttf",
    "font/ttf",
    "font/otf",
];

impl Compression {
    /// The codings, the one that is liked best first.
    pub fn codings(&self) -> &[Coding] {
        if self.algorithms.is_empty() { &Coding::ALL } else { &self.algorithms }
    }

    /// Whether answers of this media type are compressed; what stands behind `;` says nothing.
    pub fn takes(&self, media: &str) -> bool {
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if self.types.is_empty() {
            // One that may last for hours holds an encoder for as long.
            return media.starts_with("text/") && media != "text/event-stream"
                || ["+json", "+xml"].iter().any(|end| media.ends_with(end))
                || USUAL.contains(&&*media);
        }
        self.types.iter().any(|one| match one.strip_suffix('*') {
            Some(kind) => {
                media.len() > kind.len()
                    && media.get(..kind.len()).is_some_and(|head| head.eq_ignore_ascii_case(kind))
            }
            None => one.eq_ignore_ascii_case(&media),
        })
    }

    pub(super) fn check(&self, at: &mut Checker) {
        let mut seen = Vec::new();
        at.each("algorithms", &self.algorithms, |at, coding| {
            if seen.contains(coding) {
                at.fault(format!("'{}' stands twice", coding.as_str()));
            }
            seen.push(*coding);
        });
        at.each("types", &self.types, |at, one| {
            if !is_media_range(one) {
                at.fault(format!("'{one}' is no media type; write 'type/subtype' or 'type/*'"));
            }
        });
    }
}

/// `type/subtype` or `type/*` (RFC 9110, sections 8.3.1 and 12.5.1).
fn is_media_range(text: &str) -> bool {
    let is_token = |word: &str| {
        let is_odd = |byte: u8| !byte.is_ascii_alphanumeric() && !b"!#$&-^_.+".contains(&byte);
        !word.is_empty() && !word.bytes().any(is_odd)
    };
    text.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && (sub == "*" || is_token(sub)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(types: &[&str]) -> Compression {
        let types: Vec<_> = types.iter().map(|text| (*text).to_owned()).collect();
        Compression { algorithms: Vec::new(), types, min_bytes: 0 }
    }

    #[test]
    fn text_is_compressed_and_what_is_compressed_already_is_not() {
        let usual = of(&[]);
        for media in ["text/html; charset=utf-8", "Application/JSON", "application/problem+json"] {
            assert!(usual.takes(media), "{media}");
        }
        for media in
            ["image/png", "application/octet-stream", "application/grpc", "text/event-stream", ""]
        {
            assert!(!usual.takes(media), "{media}");
        }
    }

    #[test]
    fn a_list_stands_in_the_place_of_the_usual_types() {
        let own = of(&["application/vnd.shop", "Model/*"]);
        for media in ["application/vnd.shop;v=1", "model/step", "MODEL/stl"] {
            assert!(own.takes(media), "{media}");
        }
        for media in ["text/html", "model/", "models/step", "application/vnd.shop2", "modèle"] {
            assert!(!own.takes(media), "{media}");
        }
    }
}
