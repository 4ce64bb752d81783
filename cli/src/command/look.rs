//! `get` and `describe`: what is there.

use model::{Key, Kind, yaml};
use serde_json::Value;

use crate::app::Context;
use crate::args::{Describe, Get, GetOutput, Output, Several};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::kind::Named;
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, items, printable, word};

mod gist;

/// So many versions are told of an object.
const VERSIONS: usize = 5;

/// Lists objects of a kind, or shows one.
///
/// # Errors
/// If there is none of that name, or none that may be seen.
pub(crate) async fn get(context: &Context, args: &Get) -> Result<Done, Failure> {
    let one = match (&args.what, &args.name) {
        (Several::One(named), None) => Some(named.clone()),
        (Several::One(named), Some(_)) => {
            return Err(Failure::Usage(format!("{named} has its name already")));
        }
        (Several::Of(kind), Some(name)) => {
            Some(Named { kind: *kind, namespace: None, name: name.clone() })
        }
        (Several::Of(kind), None) => return list(context, args, *kind).await,
    };
    let Some(named) = one else { return Ok(Done::Yes) };
    if args.all_namespaces || args.label.is_some() {
        let words = format!("{named} is one object; leave out -A and -l");
        return Err(Failure::Usage(words));
    }
    let key = named.key(args.namespace.namespace.as_ref()).map_err(Failure::Usage)?;
    let resource = context.client.json(&of(&key)).await?;
    print(args.output, &resource, std::slice::from_ref(&resource), key.kind)?;
    Ok(Done::Yes)
}

async fn list(context: &Context, args: &Get, kind: Kind) -> Result<Done, Failure> {
    let written = args.namespace.namespace.clone();
    let namespace = written.unwrap_or_else(|| kind.default_namespace());
    let namespace = (!args.all_namespaces).then(|| namespace.as_str().to_owned());
    let ask = Ask::get(&["resources"])
        .query("kind", kind.as_str())
        .query_if("namespace", namespace.as_deref())
        .query_if("label", args.label.as_deref())
        .query("limit", "500");
    let answer = context.client.list(&ask).await?;
    let resources = items(&answer, "/items");
    match args.output {
        GetOutput::Yaml => show::result(&yaml::text(&list_of(&answer)))?,
        output => print(output, &answer, resources, kind)?,
    }
    if resources.is_empty() {
        let place = match &namespace {
            Some(namespace) => format!(" in {namespace}; -A looks in all namespaces"),
            None => String::new(),
        };
        show::note(format_args!("no {kind}{place}"));
    }
    Ok(Done::Yes)
}

/// A list in the form that files may have, so that it can be applied again.
fn list_of(answer: &Value) -> Value {
    let mut list = answer.clone();
    list["apiVersion"] = "v1".into();
    list["kind"] = "List".into();
    list
}

/// Asks for the object `key`.
pub(crate) fn of(key: &Key) -> Ask {
    let [namespace, name] = [&key.namespace, &key.name].map(model::Name::as_str);
    Ask::get(&["resources", key.kind.as_str(), namespace, name])
}

fn print(
    output: GetOutput,
    answer: &Value,
    resources: &[Value],
    kind: Kind,
) -> Result<(), Failure> {
    let output = match output {
        GetOutput::Table => Output::Table,
        GetOutput::Json => Output::Json,
        GetOutput::Yaml => Output::Yaml,
        GetOutput::Name => return show::result(&resources.iter().map(name).collect::<String>()),
    };
    show::answer(output, answer, || table(resources, kind))
}

/// A line that every command takes back.
fn name(resource: &Value) -> String {
    let [kind, namespace, name] =
        ["/kind", "/metadata/namespace", "/metadata/name"].map(|at| word(resource, at));
    format!("{kind}/{namespace}/{name}\n")
}

fn table(resources: &[Value], kind: Kind) -> String {
    let gist = gist::heads(kind);
    let mut table = Table::new(&[&["NAMESPACE", "NAME"], gist, &["GENERATION", "AGE"]].concat());
    for resource in resources {
        let mut row = vec![word(resource, "/metadata/namespace"), word(resource, "/metadata/name")];
        row.extend(gist::cells(kind, resource));
        row.push(word(resource, "/metadata/generation"));
        row.push(when(resource, "/metadata/creationTimestamp"));
        table.row(row);
    }
    table.text()
}

/// Tells what there is to know of one object.
///
/// # Errors
/// If there is none of that name, or none that may be seen.
pub(crate) async fn describe(context: &Context, args: &Describe) -> Result<Done, Failure> {
    let key = args.object.key(args.namespace.namespace.as_ref()).map_err(Failure::Usage)?;
    let resource = context.client.json(&of(&key)).await?;
    let [namespace, name] = [&key.namespace, &key.name].map(model::Name::as_str);
    let past = Ask::get(&["history", key.kind.as_str(), namespace, name]);
    let past = context.client.first(&past, VERSIONS).await?;
    let mut text = described(&resource, items(&past, "/items"));
    if key.kind == Kind::Service {
        let endpoints = Ask::get(&["services", namespace, name, "endpoints"]);
        text.push_str(&endpoints_told(&context.client.json(&endpoints).await?));
    }
    show::result(&text)?;
    Ok(Done::Yes)
}

/// Which endpoints of a Service get requests, and why the others get none.
fn endpoints_told(answer: &Value) -> String {
    let mut table = Table::new(&["PORT", "ENDPOINT", "GETS REQUESTS"]);
    for port in items(answer, "/ports") {
        for endpoint in items(port, "/endpoints") {
            let [address, told] = ["/address", "/getsRequests"].map(|at| word(endpoint, at));
            table.row([word(port, "/port"), address, told]);
        }
    }
    match table.text() {
        text if text.is_empty() => "\nno EndpointSlice and no Workload is behind it\n".to_owned(),
        text => format!("\nendpoints\n{text}"),
    }
}

fn described(resource: &Value, past: &[Value]) -> String {
    let mut text = String::new();
    let mut line = |head: &str, value: String| {
        text.push_str(&format!("{head:<12}{}\n", printable(&value)));
    };
    line("kind", word(resource, "/kind"));
    line("name", word(resource, "/metadata/name"));
    line("namespace", word(resource, "/metadata/namespace"));
    line("generation", word(resource, "/metadata/generation"));
    line("created", when(resource, "/metadata/creationTimestamp"));
    for (head, at) in [("labels", "/metadata/labels"), ("annotations", "/metadata/annotations")] {
        if let Some(Value::Object(words)) = resource.pointer(at) {
            for (key, value) in words {
                line(head, format!("{key}={}", word(value, "")));
            }
        }
    }
    if let Value::Object(fields) = resource {
        const TOLD: [&str; 3] = ["apiVersion", "kind", "metadata"];
        for (field, value) in fields.iter().filter(|(field, _)| !TOLD.contains(&field.as_str())) {
            text.push_str(&format!("\n{field}\n{}", yaml::indented(value, 2)));
        }
    }
    let mut versions = Table::new(&["REVISION", "GENERATION", "WHAT", "BY", "WHEN", "MESSAGE"]);
    for version in past {
        versions.row([
            word(version, "/revision"),
            word(version, "/generation"),
            word(version, "/verb"),
            word(version, "/actor"),
            when(version, "/at"),
            word(version, "/message"),
        ]);
    }
    let versions = versions.text();
    if !versions.is_empty() {
        text.push_str(&format!("\nhistory\n{versions}"));
    }
    text
}
