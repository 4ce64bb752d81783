//! Secret and ConfigMap (`v1`): what is not to be shown, and what may be.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Meta;
use crate::invalid::Checker;

/// The `type` of a Secret that holds a certificate chain and its key.
pub const TLS_SECRET: &str = "kubernetes.io/tls";
/// The entry of a ConfigMap that holds certificates of authorities, in PEM.
pub const CA_ENTRY: &str = "ca.crt";

/// Bytes that are never shown: `Debug` and `Serialize` give a digest.
///
/// Whoever needs the bytes says [`SecretBytes::expose`], which a reviewer can grep for.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Wraps `bytes`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        SecretBytes(bytes.into())
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// `sha256:` and the first 16 hexadecimal digits, to compare by. It has no key, since files are
    /// compared with what a server shows: a value that can be guessed is confirmed by it.
    pub fn digest(&self) -> String {
        let hash = Sha256::digest(&self.0);
        let head: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{head}")
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digest())
    }
}

impl Serialize for SecretBytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.digest())
    }
}

/// A value of `data`: standard base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Base64Secret(pub SecretBytes);

impl<'de> Deserialize<'de> for Base64Secret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let compact: String = text.split_ascii_whitespace().collect();
        STANDARD
            .decode(compact)
            .map(|bytes| Base64Secret(SecretBytes(bytes)))
            .map_err(|_| serde::de::Error::custom("is not standard base64 (RFC 4648, section 4)"))
    }
}

impl JsonSchema for Base64Secret {
    fn schema_name() -> Cow<'static, str> {
        "Base64".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a secret value in standard base64",
            "type": "string",
            "format": "base64",
            "writeOnly": true,
            "pattern": r"^[A-Za-z0-9+/\s]*=?\s*=?\s*$",
        })
    }
}

/// A value of `stringData`: the text itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TextSecret(pub SecretBytes);

impl<'de> Deserialize<'de> for TextSecret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| TextSecret(SecretBytes(text.into_bytes())))
    }
}

impl JsonSchema for TextSecret {
    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a secret value as text",
            "type": "string",
            "writeOnly": true,
        })
    }
}

/// Named secret values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// Who it is.
    pub metadata: Meta,
    /// What it holds: `Opaque` where none is written, `kubernetes.io/tls` for `tls.crt` and
    /// `tls.key`.
    #[serde(rename = "type", default = "opaque")]
    pub kind: String,
    /// Values in base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Base64Secret>,
    /// Values as text; win over `data` of the same name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<String, TextSecret>,
    /// May not be changed; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

fn opaque() -> String {
    "Opaque".to_owned()
}

impl Secret {
    /// The value called `name`.
    pub fn value(&self, name: &str) -> Option<&SecretBytes> {
        let text = self.string_data.get(name).map(|value| &value.0);
        text.or_else(|| self.data.get(name).map(|value| &value.0))
    }

    /// All values by name.
    pub fn values(&self) -> BTreeMap<&str, &SecretBytes> {
        let data = self.data.iter().map(|(name, value)| (name.as_str(), &value.0));
        let text = self.string_data.iter().map(|(name, value)| (name.as_str(), &value.0));
        data.chain(text).collect()
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        if self.kind == TLS_SECRET {
            for name in ["tls.crt", "tls.key"] {
                if self.value(name).is_none() {
                    at.fault_in("data", format!("a {TLS_SECRET} Secret needs '{name}'"));
                }
            }
        }
    }
}

/// Named values that may be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMap {
    /// Who it is.
    pub metadata: Meta,
    /// Values as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Values in base64; without effect here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binary_data: BTreeMap<String, String>,
    /// May not be changed; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}
