//! `consumer`: keys for those who call.
//!
//! A key is drawn here, and the server is told its digest alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::api::LABEL;
use model::consumer::Sha256Sum;
use model::{Key, Kind, Name};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{change, look, token};
use crate::app::Context;
use crate::args::consumer::{Consumer, ConsumerKey};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::word;

/// By which those who look for secrets in files know a key, and tell it from a token of the server's.
const PREFIX: &str = "hdc_";
/// How much of it is drawn, in bytes.
const DRAWN: usize = 32;

/// Gives a Consumer a key.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn run(context: &Context, args: &Consumer) -> Result<Done, Failure> {
    let Consumer::Key(args) = args;
    let namespace = args.namespace.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| Kind::Consumer.default_namespace());
    let key = Key::new(Kind::Consumer, namespace, args.consumer.clone());
    let (before, expected) = match context.client.json(&look::of(&key)).await {
        Ok(object) => {
            fits(&key, &object, args)?;
            let expected = json!({ "generation": object["metadata"]["generation"] });
            (object, expected)
        }
        Err(Failure::Refused(problem)) if problem.status == 404 => {
            (absent(&key, args), json!("absent"))
        }
        Err(failure) => return Err(failure),
    };
    let secret = draw()?;
    let now = OffsetDateTime::now_utc();
    let (object, name) = keyed(before, &secret, now, args)?;
    let edit = json!({ "put": object, "expected": expected });
    let ask = Ask::post(&["changes"]).with_json(&json!({ "edits": [edit] })).keyed();
    let answer = context.client.json(&ask).await?;
    let made = json!({ "consumer": key, "name": name, "key": secret, "change": answer });
    token::once(&made, "key", args.show.output, || {
        let holds = args.valid.map(|valid| format!(" holds until {},", written(now + valid)));
        let (holds, revision) = (holds.unwrap_or_default(), change::revision(&answer));
        format!("key {name} of {key}{holds} is shown this once; {}", revision.trim_end())
    })?;
    Ok(Done::Yes)
}

/// A Consumer that is not there yet.
fn absent(key: &Key, args: &ConsumerKey) -> Value {
    let mut labels = json!({});
    if let Some(api) = &args.api {
        labels[LABEL] = api.as_str().into();
    }
    json!({
        "apiVersion": Kind::Consumer.api_version(),
        "kind": Kind::Consumer.as_str(),
        "metadata": { "name": key.name, "namespace": key.namespace, "labels": labels },
        "spec": {},
    })
}

/// Whose key it is to be is the Consumer's to say, once it is there.
fn fits(key: &Key, object: &Value, args: &ConsumerKey) -> Result<(), Failure> {
    let its = object["metadata"]["labels"][LABEL].as_str();
    match args.api.as_ref().map(Name::as_str) {
        Some(api) if its != Some(api) => {
            let whose = its.map_or("to no Api".to_owned(), |its| format!("to the Api '{its}'"));
            Err(Failure::Failed(format!("{key} belongs {whose}; leave out --api, or name another")))
        }
        Some(_) | None => Ok(()),
    }
}

/// A key that nobody guesses.
fn draw() -> Result<String, Failure> {
    let mut drawn = [0; DRAWN];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    let failed = || Failure::Failed("this machine gives nothing at random".to_owned());
    random.fill(&mut drawn).map_err(|_| failed())?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(drawn)))
}

/// The Consumer with a further key, and what that is called.
fn keyed(
    mut object: Value,
    secret: &str,
    now: OffsetDateTime,
    args: &ConsumerKey,
) -> Result<(Value, String), Failure> {
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    let spec = spec.ok_or_else(|| Failure::Failed("the server sent no Consumer".to_owned()))?;
    let keys = spec.entry("keys").or_insert_with(|| json!([]));
    let Value::Array(keys) = keys else {
        return Err(Failure::Failed("the server sent no list of keys".to_owned()));
    };
    keys.retain(|key| time(key, "until").is_none_or(|until| until > now));
    if let Some(overlap) = args.overlap {
        keys.iter_mut().for_each(|key| end(key, now + overlap));
    }
    let is_free = |name: &String| keys.iter().all(|key| word(key, "/name") != *name);
    let day = now.date().to_string();
    let name = match &args.name {
        Some(name) => name.to_string(),
        None => {
            let further = (2..).map(|at| format!("{day}-{at}"));
            let mut names = std::iter::once(day.clone()).chain(further);
            names.find(is_free).expect("names go on")
        }
    };
    let digest = Sha256Sum(Sha256::digest(secret).into());
    let mut key = json!({ "name": name, "sha256": String::from(digest) });
    if let Some(valid) = args.valid {
        key["until"] = written(now + valid).into();
    }
    keys.push(key);
    Ok((object, name))
}

/// Has a key end then, unless it does so before, or begins only later.
fn end(key: &mut Value, until: OffsetDateTime) {
    let is_later = time(key, "from").is_some_and(|from| from >= until);
    if !is_later && time(key, "until").is_none_or(|known| known > until) {
        key["until"] = written(until).into();
    }
}

/// When a key begins or ends.
fn time(key: &Value, field: &str) -> Option<OffsetDateTime> {
    let text = key.get(field)?.as_str()?;
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// As it stands in objects, to the second.
fn written(at: OffsetDateTime) -> String {
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).expect("a time of these years is written")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command};

    fn args(line: &[&str]) -> ConsumerKey {
        let line = ["heddle", "consumer", "key", "acme"].iter().chain(line);
        let args = Args::try_parse_from(line).unwrap();
        let Command::Consumer(Consumer::Key(args)) = args.command else {
            panic!("another command")
        };
        args
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::parse("2026-12-01T10:00:00Z", &Rfc3339).unwrap()
    }

    #[test]
    fn a_key_is_drawn_and_told_by_its_digest_alone() {
        let (one, other) = (draw().unwrap(), draw().unwrap());
        assert!(one != other && one.starts_with(PREFIX) && one.len() == 47, "{one}");
        let key =
            Key::new(Kind::Consumer, Name::parse("shop").unwrap(), Name::parse("acme").unwrap());
        let args = args(&["--valid", "30d", "--api", "orders"]);
        let (object, name) = keyed(absent(&key, &args), "secret", now(), &args).unwrap();
        assert_eq!(name, "2026-12-01");
        assert_eq!(object["metadata"]["labels"][LABEL], "orders");
        assert_eq!(
            object["spec"]["keys"],
            json!([{
                "name": "2026-12-01",
                "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
                "until": "2026-12-31T10:00:00Z",
            }])
        );
        assert!(!object.to_string().contains("\"secret\""));
        let resource = model::Resource::from_json(Kind::Consumer, object).unwrap();
        let mut at = model::Checker::default();
        resource.check(&mut at);
        assert!(at.faults().is_empty());
    }

    #[test]
    fn the_keys_beside_it_go_on_for_a_while_and_never_longer_than_before() {
        let object = json!({ "spec": { "keys": [
            { "name": "2026-12-01" },
            { "name": "soon", "until": "2026-12-02T00:00:00Z" },
            { "name": "late", "until": "2027-12-02T00:00:00Z" },
            { "name": "next", "from": "2027-01-01T00:00:00Z" },
            { "name": "gone", "until": "2026-12-01T10:00:00Z" },
        ] } });
        let untouched = keyed(object.clone(), "secret", now(), &args(&[])).unwrap();
        assert_eq!(untouched.1, "2026-12-01-2");
        assert_eq!(untouched.0["spec"]["keys"][0], object["spec"]["keys"][0]);
        let args = args(&["--overlap", "7d", "--name", "winter"]);
        let (object, name) = keyed(object, "secret", now(), &args).unwrap();
        let until = |at: usize| object["spec"]["keys"][at]["until"].as_str();
        assert_eq!(name, "winter");
        assert_eq!(until(0), Some("2026-12-08T10:00:00Z"));
        assert_eq!(until(1), Some("2026-12-02T00:00:00Z"));
        assert_eq!(until(2), Some("2026-12-08T10:00:00Z"));
        assert_eq!(
            (until(3), until(4)),
            (None, None),
            "of one that begins later, and of the new one"
        );
        assert_eq!(object["spec"]["keys"].as_array().map(Vec::len), Some(5), "what ended is gone");
    }

    #[test]
    fn whose_a_consumer_is_it_says_itself() {
        let key =
            Key::new(Kind::Consumer, Name::parse("shop").unwrap(), Name::parse("acme").unwrap());
        let of = |api: Option<&str>| json!({ "metadata": { "labels": { LABEL: api } } });
        let (asks, none) = (args(&["--api", "orders"]), args(&[]));
        assert!(fits(&key, &of(Some("orders")), &asks).is_ok());
        assert!(fits(&key, &of(Some("else")), &none).is_ok());
        for (its, told) in [(None, "to no Api"), (Some("else"), "to the Api 'else'")] {
            let told = format!("heddle: Consumer shop/acme belongs {told}");
            let failure = fits(&key, &of(its), &asks).unwrap_err().to_string();
            assert!(failure.starts_with(&told), "{failure}");
        }
    }
}
