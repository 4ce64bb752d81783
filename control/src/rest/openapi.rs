//! OpenAPI 3.1, made from the table of operations.

use axum::response::Response;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::BASE;
use super::answer;
use super::ask::Ask;
use super::operations::{OPERATIONS, Operation, Parameter, Who};
use super::problem::{Problem, ProblemShape};

#[expect(clippy::unused_async, reason = "one form for all operations")]
pub(super) async fn show(_ask: Ask) -> Result<Response, Problem> {
    Ok(answer::ok(&document()))
}

/// The document as it is checked in: keys in order, so that a difference is a difference.
pub fn document_text() -> String {
    let mut document = document();
    document.sort_all_objects();
    format!("{document:#}\n")
}

/// The document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = SchemaGenerator::new(settings);
    let problem = generator.subschema_for::<ProblemShape>();
    let problem = json!({
        "description": "Why not, all of it.",
        "content": { "application/problem+json": { "schema": problem } },
    });
    let mut paths = Map::<String, Value>::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.word()] = described(operation, &mut generator);
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Heddle",
            "version": "1",
            "description": "The control plane. Everything that people and programs do, they do \
                through these operations. Whoever may not read a thing is told that there is none.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": BASE }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Problem": problem },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of a user, hdl_ and 43 characters.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "heddle-session",
                    "description": "The cookie of a session; __Host-heddle-session behind TLS. \
                        Requests that are not GET carry x-heddle-csrf, too.",
                },
            },
        },
    })
}

fn described(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for (status, says, form) in operation.answers {
        let mut response = json!({ "description": says });
        if let Some(form) = form {
            response["content"] = json!({ "application/json": { "schema": form(generator) } });
        }
        responses.insert(status.to_string(), response);
    }
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut parameters: Vec<_> = in_path(operation.path).map(path_parameter).collect();
    parameters.extend(operation.query.iter().map(|one| parameter(one, "query")));
    parameters.extend(operation.headers.iter().map(|one| parameter(one, "header")));
    let security = match operation.who {
        Who::Anybody => json!([]),
        Who::User | Who::Admin => json!([{ "token": [] }, { "session": [] }]),
    };
    let who = match operation.who {
        Who::Anybody => "Anybody may.",
        Who::User => "Any user may ask; the answer holds what they may see.",
        Who::Admin => "Platform admins may; for others there is no such operation.",
    };
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": who,
        "parameters": parameters,
        "security": security,
        "responses": responses,
    });
    if let Some(form) = operation.body {
        let mut content = json!({ "application/json": { "schema": form(generator) } });
        if let Some(also) = operation.also {
            content[also] = json!({ "schema": { "type": "string" } });
        }
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    described
}

fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn parameter(parameter: &Parameter, place: &str) -> Value {
    let Parameter { name, says } = parameter;
    let schema = json!({ "type": "string" });
    json!({ "name": name, "in": place, "required": false, "description": says, "schema": schema })
}
