//! The fields of a [`Shape`](super::Shape), with what stands in them.

use leptos::prelude::*;
use serde_json::Value;

use super::{EMPTY, Field, ITEM, Sort};
use crate::form::Form;

/// All fields of a record that is the whole.
pub(super) fn whole(spec: &Field, value: &Value, form: &Form) -> AnyView {
    let Sort::Record(fields) = &spec.sort else { return ().into_any() };
    record(fields, &spec.name, value, form)
}

fn record(fields: &[Field], path: &str, value: &Value, form: &Form) -> AnyView {
    let fields = fields.iter().map(|field| {
        let path = format!("{path}.{}", field.name);
        one(field, &path, &value[field.name.as_str()], form)
    });
    fields.collect::<Vec<_>>().into_any()
}

/// A field, with all below it.
pub(super) fn one(field: &Field, path: &str, value: &Value, form: &Form) -> AnyView {
    match &field.sort {
        Sort::Record(fields) => {
            let inner = record(fields, path, value, form);
            // One that is there, and empty, means something else than none.
            let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
            let kept = is_empty
                .then(|| view! { <input type="hidden" name=path.to_owned() value=EMPTY /> });
            view! {
                <fieldset class="shape" aria-describedby=fault_id(path, form.told_at(path).is_some())>
                    <legend>{field.name.clone()}</legend>
                    {about(field, path)}
                    {fault(path, form.told_at(path))}
                    {kept}
                    {inner}
                </fieldset>
            }
            .into_any()
        }
        Sort::List(fields) => list(field, fields, path, value, form),
        Sort::Words(words) => {
            let chosen = value.as_array();
            let boxes = words.iter().map(|word| {
                let checked = chosen.is_some_and(|all| all.iter().any(|one| one == word));
                view! {
                    <label class="check">
                        <input type="checkbox" name=path.to_owned() value=word.clone() checked=checked />
                        {word.clone()}
                    </label>
                }
            });
            view! {
                <fieldset class="shape words">
                    <legend>{field.name.clone()}</legend>
                    {about(field, path)}
                    <div class="checks">{boxes.collect_view()}</div>
                    {fault(path, form.told(path))}
                </fieldset>
            }
            .into_any()
        }
        sort => line(field, sort, path, value, form),
    }
}

/// A list of records: each with a way out of it, and a way to one more.
fn list(field: &Field, fields: &[Field], path: &str, value: &Value, form: &Form) -> AnyView {
    let entries = value.as_array().into_iter().flatten().enumerate();
    let entries = entries.map(|(at, value)| {
        let path = format!("{path}[{at}]");
        let name = value["name"].as_str().map(|name| format!(": {name}"));
        let legend = format!("{}[{at}]{}", field.name, name.unwrap_or_default());
        let away = format!("Remove {legend}");
        let inner = record(fields, &path, value, form);
        view! {
            <fieldset class="shape item" data-item=path.clone()>
                <legend>{legend}</legend>
                <input type="hidden" name=ITEM value=path.clone() />
                {fault(&path, form.told_at(&path))}
                {inner}
                <button class="quiet" name="act" value=format!("drop:{path}") aria-label=away formnovalidate>
                    "Remove"
                </button>
            </fieldset>
        }
    });
    let entries = entries.collect_view();
    let more = format!("Add to {path}");
    view! {
        <div class="list" role="group" aria-label=field.name.clone() data-list=path.to_owned()>
            <p class="listed">
                <span class="name">{field.name.clone()}</span>
                " "
                <button class="quiet" name="act" value=format!("add:{path}") aria-label=more formnovalidate>
                    "Add"
                </button>
            </p>
            {about(field, path)}
            {fault(path, form.told_at(path))}
            {entries}
        </div>
    }
    .into_any()
}

/// What has one field of the form.
fn line(field: &Field, sort: &Sort, path: &str, value: &Value, form: &Form) -> AnyView {
    let (id, name) = (path.to_owned(), path.to_owned());
    // Faults of one of several lines name it.
    let told = match sort {
        Sort::Lines => form.told_below(path),
        _ => form.told(path),
    };
    let (invalid, described) = (told.is_some().then_some("true"), fault_id(path, told.is_some()));
    let is = text(value);
    let input = match sort {
        Sort::Word(words) => {
            let unsaid = match &field.default {
                Some(default) => format!("{default}, as nothing is said"),
                None => String::new(),
            };
            let unsaid = std::iter::once((String::new(), unsaid));
            let words = words.iter().map(|word| (word.clone(), word.clone()));
            // A word that is none of them stays, for its author to mend.
            let known = words.clone().any(|(word, _)| word == is);
            let other = (!known && !is.is_empty()).then(|| (is.clone(), is.clone()));
            let words = unsaid.chain(words).chain(other).map(|(word, shown)| {
                let selected = word == is;
                view! { <option value=word selected=selected>{shown}</option> }
            });
            let words = words.collect_view();
            view! {
                <select id=id name=name aria-invalid=invalid aria-describedby=described>{words}</select>
            }
            .into_any()
        }
        Sort::Flag => {
            let words = ["", "true", "false"].map(|word| {
                let selected = word == is;
                view! { <option value=word selected=selected>{word}</option> }
            });
            let words = words.into_iter().collect_view();
            view! {
                <select id=id name=name aria-invalid=invalid aria-describedby=described>{words}</select>
            }
            .into_any()
        }
        Sort::Lines | Sort::Labels | Sort::Json | Sort::Text { is_long: true } => {
            let rows = is.lines().count().clamp(2, 12);
            // A browser takes the first end of line away.
            let is = format!("\n{is}");
            view! {
                <textarea
                    id=id
                    name=name
                    rows=rows
                    spellcheck="false"
                    autocapitalize="none"
                    aria-invalid=invalid
                    aria-describedby=described
                >
                    {is}
                </textarea>
            }
            .into_any()
        }
        _ => {
            let kind = if matches!(sort, Sort::Number) { "numeric" } else { "text" };
            view! {
                <input
                    id=id
                    name=name
                    value=is
                    placeholder=field.default.clone()
                    inputmode=kind
                    spellcheck="false"
                    autocapitalize="none"
                    autocomplete="off"
                    aria-invalid=invalid
                    aria-describedby=described
                />
            }
            .into_any()
        }
    };
    let each = match sort {
        Sort::Lines => " (one on each line)",
        Sort::Labels => " (name: text, one on each line)",
        Sort::Json => " (JSON)",
        _ => "",
    };
    let mark = field.is_required.then_some("*");
    view! {
        <div class="field">
            <label for=path.to_owned()>{field.name.clone()} {mark} <span class="hint">{each}</span></label>
            {input}
            {about(field, path)}
            {fault(path, told)}
        </div>
    }
    .into_any()
}

/// What a field is for. Of entries of lists the first tells it for all.
fn about(field: &Field, path: &str) -> Option<AnyView> {
    let is_first = !path.replace("[0]", "").contains('[');
    let about = (is_first && !field.about.is_empty()).then(|| field.about.clone());
    about.map(|about| view! { <p class="hint">{about}</p> }.into_any())
}

/// It is there before there is a fault, so that none moves what is being typed into.
fn fault(path: &str, told: Option<String>) -> AnyView {
    let (id, hidden) = (fault_id(path, true), told.is_none());
    view! { <p class="fault lines" id=id hidden=hidden>{told.unwrap_or_default()}</p> }.into_any()
}

fn fault_id(path: &str, is_there: bool) -> Option<String> {
    is_there.then(|| format!("{path}:fault"))
}

/// What stands in a field, as it is typed.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
        }
        Value::Object(fields) if fields.values().all(Value::is_string) => {
            let lines = fields.iter().map(|(name, value)| format!("{name}: {}", text(value)));
            lines.collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}
