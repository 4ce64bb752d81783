//! The formats of our own word types, judged by the very parsers that will read them.
//!
//! A pattern can only say that a word does not match; a parser can say what would be right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::consumer::Sha256Sum;
use crate::field::FieldPath;
use crate::policy::Source;
use crate::route::GatewayDuration;
use crate::{Hostname, Name};

/// A format that a schema names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Name,
    Hostname,
    Duration,
    AddressRange,
    DateTime,
    Base64,
    FieldPath,
    Sha256,
}

impl Format {
    /// The format that schemas call `word`.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "object-name" => Format::Name,
            "host-pattern" => Format::Hostname,
            "gateway-duration" => Format::Duration,
            "address-range" => Format::AddressRange,
            "date-time" => Format::DateTime,
            "base64" => Format::Base64,
            "field-path" => Format::FieldPath,
            "sha-256" => Format::Sha256,
            _ => return None,
        })
    }

    /// What a value of it is called.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Format::Name => "a name",
            Format::Hostname => "a host name",
            Format::Duration => "a duration such as 10s",
            Format::AddressRange => "an address or CIDR range",
            Format::DateTime => "a time such as 2026-01-31T10:00:00Z",
            Format::Base64 => "text in base64",
            Format::FieldPath => "a field",
            Format::Sha256 => "a SHA-256",
        }
    }

    /// Why `text` is not of this format, if it is not.
    pub(crate) fn fault(self, text: &str) -> Option<String> {
        match self {
            Format::Name => Name::parse(text).err().map(|error| error.to_string()),
            Format::Hostname => Hostname::parse(text).err().map(|error| error.to_string()),
            Format::Duration => GatewayDuration::try_from(text.to_owned()).err(),
            Format::AddressRange => Source::try_from(text.to_owned()).err(),
            Format::DateTime => OffsetDateTime::parse(text, &Rfc3339)
                .err()
                .map(|_| format!("'{text}' is no time such as 2026-01-31T10:00:00Z (RFC 3339)")),
            Format::FieldPath => text.parse::<FieldPath>().err().map(|error| error.to_string()),
            Format::Sha256 => Sha256Sum::try_from(text.to_owned()).err(),
            Format::Base64 => {
                let compact: String = text.split_ascii_whitespace().collect();
                let fault = "is not standard base64 (RFC 4648, section 4); for plain text there is \
                             'stringData'";
                STANDARD.decode(compact).err().map(|_| fault.to_owned())
            }
        }
    }
}
