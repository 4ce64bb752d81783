//! A certificate and its key that lie in files of their own, as what renews them writes them: together they
//! count as a Secret.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use model::secret::TLS_SECRET;
use model::{Invalid, Key, Kind, Meta, Name, Resource};
use proxy::process::small;
use proxy::tls::Stated;
use serde_json::{Value, json};

use super::file::{File, whole};
use super::reading::Seen;

/// The most bytes of either file.
const MOST: u64 = 1 << 20;

/// A Secret of type `kubernetes.io/tls` and the files that it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSecret {
    namespace: Name,
    name: Name,
    certificate: PathBuf,
    key: PathBuf,
}

/// `NAMESPACE/NAME=CERTIFICATE,KEY`, as the command line has it.
impl FromStr for TlsSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || {
            "NAMESPACE/NAME=CERTIFICATE,KEY, such as demo/site=fullchain.pem,privkey.pem".to_owned()
        };
        let (object, files) = text.split_once('=').ok_or_else(wanted)?;
        let (namespace, name) = object.split_once('/').ok_or_else(wanted)?;
        let (certificate, key) = files.split_once(',').ok_or_else(wanted)?;
        if certificate.is_empty() || key.is_empty() {
            return Err(wanted());
        }
        let read = |name: &str| Name::parse(name).map_err(|error| error.to_string());
        Ok(TlsSecret {
            namespace: read(namespace)?,
            name: read(name)?,
            certificate: certificate.into(),
            key: key.into(),
        })
    }
}

impl TlsSecret {
    /// What stands for its file where faults are told.
    pub(super) fn place(&self) -> PathBuf {
        format!("--tls-secret {}/{}", self.namespace, self.name).into()
    }

    /// The Secret that the files make.
    pub(super) fn object(&self) -> Key {
        Key::new(Kind::Secret, self.namespace.clone(), self.name.clone())
    }

    /// The Secret as a file would hold it; `held` is what was last taken. One of which a file is gone, or does
    /// not fit the other, keeps its last content, too: nobody takes a certificate back by that.
    pub(super) fn seen(&self, held: Option<&File>) -> Seen {
        let (certificate, key) = match (text(&self.certificate), text(&self.key)) {
            (Ok(certificate), Ok(key)) => (certificate, key),
            (Err(why), _) | (_, Err(why)) => return Seen::Unreadable(why),
        };
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "namespace": self.namespace, "name": self.name },
            "type": TLS_SECRET,
            "stringData": { "tls.crt": certificate, "tls.key": key },
        });
        let text = Seen::Text(secret.to_string());
        if held.is_some_and(|held| held.is(&text)) {
            return text;
        }
        self.unfit(secret).map_or(text, Seen::Unreadable)
    }

    /// What is said of its certificate, by the name of the file.
    pub(super) fn told(&self, reason: &str) -> Invalid {
        whole(&format!("{}: {reason}", self.certificate.display()))
    }

    /// Why nobody can be shown what the files hold, by the names of these.
    fn unfit(&self, secret: Value) -> Option<String> {
        let Ok(Resource::Secret(secret)) = Resource::from_json(Kind::Secret, secret) else {
            return None;
        };
        let [certificate, key] =
            [&self.certificate, &self.key].map(|path| path.display().to_string());
        let told = proxy::tls::check_called(&secret, [&certificate, &key]);
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// A certificate that was taken anew.
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) secret: Key,
    /// When it ends.
    pub(crate) ends: String,
}

impl Renewed {
    /// What its `file` holds now.
    pub(super) fn from(file: &File) -> Option<Self> {
        let Resource::Secret(secret) = file.good.first()?.result.as_ref().ok()? else {
            return None;
        };
        let Meta { namespace, name, .. } = &secret.metadata;
        let key = Key::new(Kind::Secret, namespace.clone(), name.clone());
        Some(Renewed { secret: key, ends: Stated::day(Stated::of(secret)?.ends) })
    }
}

fn text(path: &Path) -> Result<String, String> {
    small::text(path, MOST).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_read_off_the_command_line() {
        let read: TlsSecret = "demo/site=/a,b/c=d".parse().unwrap();
        assert_eq!(read.place(), Path::new("--tls-secret demo/site"));
        assert_eq!((read.certificate, read.key), ("/a".into(), "b/c=d".into()));
        for bad in ["", "demo/site", "site=a,b", "demo/site=a", "demo/site=,b", "demo/site=a,"] {
            let error = bad.parse::<TlsSecret>().unwrap_err();
            assert!(error.starts_with("NAMESPACE/NAME=CERTIFICATE,KEY"), "{bad}: {error}");
        }
        "Demo/site=a,b".parse::<TlsSecret>().unwrap_err();
    }
}
