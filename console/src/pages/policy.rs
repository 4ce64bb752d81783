//! A policy: a form and YAML side by side, of which each tells the other, and what saving would do.

use control::app::{Plan, Rerouted, Review};
use control::{Edit, Expect, Refusal, read};
use leptos::prelude::*;
use model::difference::differences;
use model::role::Verb;
use model::{Key, Kind, Name, yaml};
use serde::Deserialize;
use serde_json::{Value, json};

use super::change::{COUNTED, lines};
use super::policies::targets;
use super::{Asked, Drawn, drawn, object};
use crate::edit::{edits, expecting, remove, wrong};
use crate::form::{Done, Fields, Form, Line, Sent, Tried, access_to};
use crate::islands::mirror::Mirror;
use crate::pages;
use crate::parts::{empty, head, saved, table};
use crate::shape::{Shape, Typed};

const REQUESTS: [&str; 3] = ["Request", "Now", "Then"];

/// What is said of the policies of a kind.
#[derive(Debug)]
pub(super) struct Sort {
    pub(super) kind: Kind,
    /// Where they are.
    root: &'static str,
    /// What one is called, before its name.
    word: &'static str,
    /// What one is called that is not there yet, and what it is for.
    new: &'static str,
    lead: &'static str,
    /// The list that one has first of all, and what an entry of it is called.
    pub(super) list: &'static str,
    pub(super) entry: &'static str,
    /// What becomes of what it is attached to without it.
    without: &'static str,
}

const SORTS: [Sort; 3] = [
    Sort {
        kind: Kind::AccessPolicy,
        root: "/policies",
        word: "Policy",
        new: "A new policy",
        lead: "What it is attached to must each let a request pass.",
        list: "rules",
        entry: "rule",
        without: "What it is attached to is decided by its other policies then; where there is none, by the \
                  workspace.",
    },
    Sort {
        kind: Kind::AuthnPolicy,
        root: "/authn",
        word: "Authentication",
        new: "A new authentication policy",
        lead: "How callers prove who they are to what it is attached to.",
        list: "methods",
        entry: "method",
        without: "Nobody proves by its methods any more who they are, and rules that name such callers mean \
                  nobody.",
    },
    Sort {
        kind: Kind::RateLimitPolicy,
        root: "/limits",
        word: "Limits",
        new: "A new limit",
        lead: "How many requests come through what it is attached to.",
        list: "limits",
        entry: "limit",
        without: "As many requests come through what it is attached to then as its other limits let pass.",
    },
];

impl Sort {
    /// Of the policies of this kind; of what is none as of an AccessPolicy.
    pub(super) fn of(kind: Kind) -> &'static Self {
        SORTS.iter().find(|sort| sort.kind == kind).unwrap_or(&SORTS[0])
    }

    /// The first entry of one that is not there yet.
    fn begun(&self) -> Value {
        match self.kind {
            Kind::RateLimitPolicy => json!({ "name": "", "requests": 100, "window": "1m" }),
            _ => json!({ "name": "" }),
        }
    }
}

/// Where a policy is shown.
pub(crate) fn place(key: &Key) -> String {
    format!("{}/{}/{}", Sort::of(key.kind).root, key.namespace, key.name)
}

/// Where one is made.
pub(super) fn place_of_new(kind: Kind) -> String {
    format!("{}/-/new", Sort::of(kind).root)
}

/// Where one for a route of an Api is begun.
pub(crate) fn place_for(route: &Key, api: &Name) -> String {
    format!("{}?route={}&api={api}", place_of_new(Kind::AccessPolicy), pages::word(route))
}

/// A policy as it is being written.
#[derive(Debug)]
struct Draft {
    kind: Kind,
    /// None of one that is not there yet.
    key: Option<Key>,
    object: Value,
    /// What was typed as YAML; what `object` is, if nothing was.
    text: Option<String>,
    /// The generation that it was drawn from.
    generation: Option<i64>,
    /// What is there now.
    now: Value,
}

/// What saving would do, and the object that would be there.
type Planned = (Plan, Value);

/// What is to be done with one.
enum Act<'f> {
    Save,
    /// Tell what saving would do.
    Check,
    /// Give a list one entry more.
    Add(&'f str),
    /// Take an entry of a list away.
    Drop(&'f str),
}

impl<'f> Act<'f> {
    fn of(fields: &'f Fields) -> Self {
        match fields.get("act").split_once(':') {
            Some(("add", list)) => Act::Add(list),
            Some(("drop", entry)) => Act::Drop(entry),
            _ if fields.get("act") == "check" => Act::Check,
            _ => Act::Save,
        }
    }
}

/// One of this kind.
pub(crate) async fn ask(asked: Asked, kind: Kind) -> Result<Drawn, Refusal> {
    let draft = Draft::found(&asked, kind).await?;
    let may = May::of(&asked, draft.key.as_ref()).await?;
    let draft = draft.tried(asked.tried.as_deref());
    drawn(move || draw(&asked, &draft, may, None))
}

/// One that is not there yet.
pub(crate) async fn new(asked: Asked, kind: Kind) -> Result<Drawn, Refusal> {
    let draft = Draft::begun(&asked, kind).tried(asked.tried.as_deref());
    let may = May::of(&asked, None).await?;
    drawn(move || draw(&asked, &draft, may, None))
}

/// What who asks may do with it.
#[derive(Debug, Clone, Copy)]
struct May {
    write: bool,
    delete: bool,
}

impl May {
    /// Where there is none yet, whoever saves it is told whether they may.
    async fn of(asked: &Asked, key: Option<&Key>) -> Result<Self, Refusal> {
        let Some(key) = key else { return Ok(May { write: true, delete: false }) };
        let op = asked.op();
        let may = async |verb| {
            let review = Review { verb, key: key.clone(), field: None, api: None, user: None };
            asked.app.access_review(&op, &review).await.map(|found| found.allowed)
        };
        Ok(May { write: may(Verb::Update).await?, delete: may(Verb::Delete).await? })
    }
}

/// What a new one is begun with.
#[derive(Debug, Default, Deserialize)]
struct Begun {
    /// The route that it is for, as KIND/NAMESPACE/NAME.
    #[serde(default, deserialize_with = "pages::key")]
    route: Option<Key>,
    #[serde(default)]
    api: String,
}

impl Draft {
    async fn found(asked: &Asked, kind: Kind) -> Result<Self, Refusal> {
        let key = asked.key(kind)?;
        let shown = asked.app.resource_show(&asked.op(), &key, None).await?;
        let mut object = shown.body;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            // What the server counts is not written by anybody.
            COUNTED.iter().filter_map(|path| path.strip_prefix("metadata.")).for_each(|field| {
                metadata.remove(field);
            });
        }
        let (now, generation) = (object.clone(), Some(shown.generation));
        Ok(Draft { kind, key: Some(key), object, text: None, generation, now })
    }

    /// The least that one is begun with.
    fn begun(asked: &Asked, kind: Kind) -> Self {
        let Begun { route, api } = asked.query();
        let namespace = route.as_ref().map_or("", |route| route.namespace.as_str());
        let name = route.as_ref().map_or("", |route| route.name.as_str());
        let labels = match api.is_empty() {
            true => json!({}),
            false => json!({ model::api::LABEL: api }),
        };
        let target = match &route {
            None => json!({ "kind": Kind::HttpRoute }),
            Some(route) => json!({ "kind": route.kind, "name": name }),
        };
        let sort = Sort::of(kind);
        let object = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.as_str(),
            "metadata": { "namespace": namespace, "name": name, "labels": labels },
            "spec": { "targetRefs": [target], (sort.list): [sort.begun()] },
        });
        Draft { kind, key: None, object, text: None, generation: None, now: Value::Null }
    }

    /// With what was typed and refused.
    fn tried(mut self, tried: Option<&Tried>) -> Self {
        let Some(tried) = tried else { return self };
        match tried.action.rsplit_once('/') {
            Some((_, "form")) => self.type_form(&tried.fields),
            Some((_, "yaml")) => self.type_yaml(tried.fields.get("yaml")),
            _ => {}
        }
        self
    }

    fn type_form(&mut self, fields: &Fields) {
        let mut typed = Typed::new(fields);
        match Act::of(fields) {
            Act::Add(list) => typed.add(list),
            Act::Drop(entry) => typed.drop(entry),
            Act::Save | Act::Check => {}
        }
        Shape::of(self.kind).put(&typed, &mut self.object);
        if self.key.is_none() {
            for field in ["namespace", "name"] {
                self.object["metadata"][field] = fields.get(&format!("metadata.{field}")).into();
            }
        }
    }

    /// What cannot be read leaves the object as it was.
    fn type_yaml(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n");
        if let [document] = &model::read_bounded(&text, 2)[..] {
            let read = document.result.as_ref().ok().map(model::Resource::to_json);
            if let Some(object) = read.or_else(|| document.raw.clone()).filter(Value::is_object) {
                self.object = object;
            }
        }
        self.text = Some(text);
    }

    /// Where its forms are sent.
    fn place(&self) -> String {
        self.key.as_ref().map_or_else(|| place_of_new(self.kind), place)
    }

    fn expected(&self) -> Expect {
        self.generation.map_or(Expect::Absent, Expect::Generation)
    }

    /// The change that makes it so.
    fn edits(&self) -> Result<Vec<Edit>, Refusal> {
        let Some(text) = &self.text else { return edits(&self.object, self.expected()) };
        let edits = read(text).map_err(Refusal::Invalid)?;
        let is_it = |edit: &Edit| match &self.key {
            Some(key) => edit.key() == *key,
            None => edit.key().kind == self.kind,
        };
        if !matches!(&edits[..], [edit] if is_it(edit)) {
            let wanted = match &self.key {
                Some(key) => format!("this is to be {key}, and nothing beside it"),
                None => format!("this is to be one {}, and nothing beside it", self.kind),
            };
            return Err(wrong([("yaml".to_owned(), wanted)]));
        }
        Ok(expecting(edits, self.expected()))
    }
}

/// Saves what was typed into the form, or tells what that would do.
pub(crate) async fn by_form(sent: Sent, kind: Kind) -> Result<Done, Refusal> {
    let mut draft = Draft::found(&sent.asked, kind).await?;
    draft.type_form(&sent.fields);
    go(sent, draft).await
}

/// The same of what was typed as YAML.
pub(crate) async fn by_yaml(sent: Sent, kind: Kind) -> Result<Done, Refusal> {
    let mut draft = Draft::found(&sent.asked, kind).await?;
    draft.type_yaml(sent.fields.get("yaml"));
    go(sent, draft).await
}

/// Makes what was typed into the form, or tells what that would do.
pub(crate) async fn make_by_form(sent: Sent, kind: Kind) -> Result<Done, Refusal> {
    let mut draft = Draft::begun(&sent.asked, kind);
    draft.type_form(&sent.fields);
    go(sent, draft).await
}

/// The same of what was typed as YAML.
pub(crate) async fn make_by_yaml(sent: Sent, kind: Kind) -> Result<Done, Refusal> {
    let mut draft = Draft::begun(&sent.asked, kind);
    draft.type_yaml(sent.fields.get("yaml"));
    go(sent, draft).await
}

async fn go(sent: Sent, mut draft: Draft) -> Result<Done, Refusal> {
    if draft.key.is_some() {
        // A form that says none is none of ours, and matches none.
        draft.generation = Some(sent.fields.get("generation").parse().unwrap_or(0));
    }
    let may = May::of(&sent.asked, draft.key.as_ref()).await?;
    let app = &sent.asked.app;
    let plan = match Act::of(&sent.fields) {
        Act::Save => {
            let edits = draft.edits()?;
            let key = edits.first().map(Edit::key);
            let op = sent.asked.visit.op(sent.fields.get("message").trim().to_owned())?;
            let receipt = app.change_commit(&op, edits).await?;
            return Ok(Done::saved(&key.as_ref().map_or_else(|| draft.place(), place), &receipt));
        }
        Act::Check => {
            let edits = draft.edits()?;
            let after = after(&edits);
            Some((app.change_plan(&sent.asked.op(), edits).await?, after))
        }
        Act::Add(_) | Act::Drop(_) => None,
    };
    let asked = sent.asked;
    Ok(Done::Told(Box::new(move || draw(&asked, &draft, may, plan.as_ref()))))
}

/// The object that edits of one would leave.
fn after(edits: &[Edit]) -> Value {
    let after = edits.iter().find_map(|edit| match edit {
        Edit::Put { resource, .. } => Some(resource.to_json()),
        Edit::Delete { .. } => None,
    });
    after.unwrap_or_default()
}

/// Takes it away.
pub(crate) async fn delete(sent: Sent, kind: Kind) -> Result<Done, Refusal> {
    let key = sent.asked.key(kind)?;
    let receipt = remove(&sent, key).await?;
    Ok(Done::saved("/policies", &receipt))
}

fn draw(asked: &Asked, draft: &Draft, may: May, plan: Option<&Planned>) -> AnyView {
    let sort = Sort::of(draft.kind);
    let (name, lead) = match &draft.key {
        Some(key) => {
            let attached = targets(&draft.now);
            let name = format!("{} {}/{}", sort.word, key.namespace, key.name);
            (name, format!("Attached to {attached}."))
        }
        None => (sort.new.to_owned(), sort.lead.to_owned()),
    };
    let text = || draft.text.clone().unwrap_or_else(|| yaml::text(&draft.object));
    let Some(key) = draft.key.as_ref().filter(|_| !may.write) else {
        return view! {
            {head(name, lead)}
            {saved(asked)}
            <Mirror />
            <div class="beside">
                <div id="live">
                    {side("form", "Form", by_fields(asked, draft))}
                    {may.delete.then(|| take_away(asked, draft))}
                </div>
                <div class="aside">
                    {side("yaml", "YAML", by_text(asked, draft, &text()))}
                    {checked(asked, draft, plan)}
                    {draft.key.as_ref().map(object::whole)}
                </div>
            </div>
        }
        .into_any();
    };
    view! {
        {head(name, lead)}
        <div id="live">
            <section class="card" aria-labelledby="yaml-title">
                <h2 id="yaml-title">"YAML"</h2>
                <pre class="text" tabindex="0">{text()}</pre>
                <p class="faint">"You may not change it."</p>
                {access_to(Verb::Update, key, None)}
                {object::whole(key)}
            </section>
        </div>
    }
    .into_any()
}

/// One of the two: the browser knows it by its word.
fn side(word: &'static str, title: &'static str, form: AnyView) -> AnyView {
    let id = format!("{word}-title");
    view! {
        <section class="card" data-side=word aria-labelledby=id.clone()>
            <h2 id=id.clone()>{title}</h2>
            {form}
        </section>
    }
    .into_any()
}

fn by_fields(asked: &Asked, draft: &Draft) -> AnyView {
    let form = Form::beside(asked, format!("{}/form", draft.place()));
    if !Shape::of(draft.kind).fits(&draft.object) {
        // A form, since what keeps the page up leaves those as they are.
        let words = "It has more entries than a form could show; write it as YAML.";
        return form.draw(draft.generation, empty(words, ()));
    }
    let named = draft.key.is_none().then(|| {
        let name = |field, label, path, is, hint| {
            form.text(Line { field, label, path, is, hint: Some(hint), ..Line::default() })
        };
        let is =
            |field: &str| draft.object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let namespace = is("namespace");
        let namespace = name(
            "metadata.namespace",
            "namespace",
            "metadata.namespace",
            &namespace,
            "where its targets are",
        );
        let own = is("name");
        let own = name(
            "metadata.name",
            "name",
            "metadata.name",
            &own,
            "lower-case letters, digits and -",
        );
        (namespace, own)
    });
    let fields = view! {
        // A browser takes the first button for Enter, which else would be one that adds something.
        <button name="act" value="check" hidden formnovalidate>"Check"</button>
        {named}
        {Shape::of(draft.kind).draw(&draft.object, &form)}
        {form.why("form:why")}
        {buttons("Save the form")}
    };
    form.draw(draft.generation, fields)
}

fn by_text(asked: &Asked, draft: &Draft, text: &str) -> AnyView {
    let form = Form::beside(asked, format!("{}/yaml", draft.place()));
    let told = form.told_at("yaml");
    let invalid = told.is_some().then_some("true");
    let rows = text.lines().count().clamp(12, 40);
    let (described, hidden) = (invalid.map(|_| "yaml:fault"), told.is_none());
    let fault =
        view! { <p class="fault" id="yaml:fault" hidden=hidden>{told.unwrap_or_default()}</p> };
    // A browser takes the first end of line away.
    let text = format!("\n{text}");
    let fields = view! {
        <label for="yaml">"The whole object"</label>
        <textarea
            id="yaml"
            name="yaml"
            class="text"
            rows=rows
            spellcheck="false"
            autocapitalize="none"
            aria-invalid=invalid
            aria-describedby=described
        >
            {text}
        </textarea>
        {fault}
        {form.why("yaml:why")}
        {buttons("Save the YAML")}
    };
    form.draw(draft.generation, fields)
}

fn buttons(save: &'static str) -> AnyView {
    view! {
        <p class="row">
            <button name="act" value="save">{save}</button>
            " "
            <button class="quiet" name="act" value="check" formnovalidate>"Check"</button>
        </p>
    }
    .into_any()
}

fn take_away(asked: &Asked, draft: &Draft) -> AnyView {
    let form = Form::new(asked, format!("{}/delete", draft.place()));
    let fields = view! {
        {form.why("delete:why")}
        <button class="danger">"Delete the policy"</button>
    };
    view! {
        <section class="card" aria-labelledby="delete-title">
            <h2 id="delete-title">"Delete it"</h2>
            <p class="faint">{Sort::of(draft.kind).without}</p>
            {form.draw(draft.generation, fields)}
        </section>
    }
    .into_any()
}

/// What saving would do, or why it cannot be saved as it stands.
fn checked(asked: &Asked, draft: &Draft, plan: Option<&Planned>) -> AnyView {
    let found = match (asked.tried.as_ref(), plan) {
        (Some(tried), _)
            if matches!(tried.refusal, Refusal::Conflict(_)) && draft.key.is_some() =>
        {
            let typed = draft.edits().map(|edits| after(&edits)).unwrap_or_default();
            view! {
                <p>"Somebody else changed it meanwhile. Saving again would change what is there now so:"</p>
                {lines(&differences(&draft.now, &typed))}
            }
            .into_any()
        }
        (Some(tried), _) => view! {
            <p>"It cannot be saved as it stands:"</p>
            <p class="fault lines">{tried.refusal.to_string()}</p>
        }
        .into_any(),
        (None, Some((plan, after))) => planned(&draft.now, after, plan),
        (None, None) => {
            view! { <p class="faint">"Check tells it; nothing is saved by that."</p> }.into_any()
        }
    };
    view! {
        <section class="card" id="checked" aria-labelledby="checked-title">
            <h2 id="checked-title">"What saving would do"</h2>
            <div role="status">{found}</div>
        </section>
    }
    .into_any()
}

fn planned(now: &Value, after: &Value, plan: &Plan) -> AnyView {
    if plan.objects.is_empty() {
        return empty("Nothing: it is so already.", ());
    }
    let changes = lines(&differences(now, after));
    let rows = plan.requests.iter().map(rerouted).collect::<Vec<_>>();
    let more =
        (plan.more > 0).then(|| view! { <p>{format!("and {} more requests", plan.more)}</p> });
    let requests = match rows.is_empty() {
        true => view! { <p class="faint">"No request would go elsewhere; who may make one may differ."</p> }.into_any(),
        false => table("checked-title".to_owned(), &REQUESTS, rows),
    };
    view! {
        <p>"It is valid. It would change:"</p>
        {changes}
        {requests}
        {more}
    }
    .into_any()
}

fn rerouted(one: &Rerouted) -> AnyView {
    let or = |words: &Option<String>| words.clone().unwrap_or_else(|| "no route".to_owned());
    view! {
        <tr>
            <th scope="row">{format!("{} {}:{}{}", one.method, one.host, one.port, one.path)}</th>
            <td class="long">{or(&one.before)}</td>
            <td class="long">{or(&one.after)}</td>
        </tr>
    }
    .into_any()
}
