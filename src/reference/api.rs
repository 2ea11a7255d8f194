//! The reference page of the API, rendered from the OpenAPI document.

use std::collections::BTreeSet;

use serde_json::Value;

use super::objects::{Schemas, one_line};
use super::{GENERATED, code_list, head, row};
use crate::access::role::Role;
use crate::api::openapi;
use crate::api::route::{Audience, Row, Table};
use crate::api::routes;

const ABOUT: &str = "
# API

By default, the manager listens on `127.0.0.1:8088` and nginx on port 8080 of the same address. nginx forwards
`/api/`, and all requests for media except those for segments, to the manager. `/livez`, `/readyz` and `/metrics`
are available only on the manager's port. `/api/openapi.json` is an OpenAPI 3.1 document of the whole API.

Request bodies are JSON of at most 64 KiB, or of at most 32 MiB for an import. Inputs that are marked
\"form or query\" can also be sent as a form, or as a query without a body. Later versions may add fields to
responses. [Errors](errors.md) describes failures, and [Authentication](../guide/authentication.md#roles)
describes the roles. Unless `ALLOW_ANONYMOUS` is true, requests for media need an API key or a playback token.

The list does not contain the WebSocket of the [live socket](../guide/live-socket.md), the addresses for [clients of
go2rtc](../guide/go2rtc-clients.md), and the aliases for [existing clients](../guide/existing-clients.md).

";

const ABOUT_EVENT: &str = "\
## Event

The body of each request that the manager sends to `WEBHOOK_URL` is an [EventOutput](#eventoutput). See
[Webhooks](../guide/webhooks.md).

";

/// The tags of requests, each with the heading of the table of its requests.
const GROUPS: [(&str, &str); 8] = [
    ("streams", "Streams"),
    ("cameras", "Cameras"),
    ("events", "Events"),
    ("recordings", "Recordings"),
    ("playback", "Playback sessions"),
    ("push", "Push notifications"),
    ("media", "Media"),
    ("service", "Service"),
];

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Renders the page.
pub(super) fn page() -> String {
    let rows = routes::all();
    let document = openapi::document(&Table::new(routes::all()));
    let document = serde_json::to_value(document).expect("a document");
    let schemas = Schemas(&document["components"]["schemas"]);
    let mut used = BTreeSet::from(["EventOutput", "Problem"]);
    let mut page = GENERATED.to_owned() + ABOUT;
    for (tag, heading) in GROUPS {
        page.extend(["## ", heading, "\n\n"]);
        page += &head(["Request", "Role", "Input", "Response", "Purpose"]);
        for (path, method, operation) in operations(&document["paths"]) {
            if operation["tags"][0] == tag {
                used.extend(schemas.objects_in(operation));
                let method = method.to_uppercase();
                let is_row = |row: &&Row| row.path == path && row.method == *method;
                let role = role(rows.iter().find(is_row).expect("a row").audience);
                page += &request(&schemas, &format!("{method} `{path}`"), role, operation);
            }
        }
        page.push('\n');
    }
    page + ABOUT_EVENT + &schemas.page(used)
}

/// Returns all operations with their paths and methods.
fn operations(paths: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = paths.as_object().into_iter().flatten();
    paths.flat_map(|(path, operations)| {
        let operations = operations.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn request(schemas: &Schemas, request: &str, role: &str, operation: &Value) -> String {
    let text = |name: &str| one_line(operation[name].as_str().unwrap_or_default());
    let (summary, description) = (text("summary"), text("description"));
    row([
        request,
        role,
        &input(schemas, operation),
        &responses(schemas, operation),
        format!("{summary}. {description}").trim_end(),
    ])
}

fn role(audience: Audience) -> &'static str {
    match audience {
        Audience::Everyone => "–",
        Audience::Viewers => "key or token",
        Audience::Callers(Role::Viewer) => "viewer",
        Audience::Callers(Role::User) => "user",
        Audience::Callers(Role::Admin) => "admin",
    }
}

fn input(schemas: &Schemas, operation: &Value) -> String {
    let content = &operation["requestBody"]["content"];
    if content.is_null() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let query = parameters.filter(|parameter| parameter["in"] == "query");
        return code_list(query.filter_map(|parameter| parameter["name"].as_str()));
    }
    let body = schemas.kind(&content[JSON]["schema"]);
    if content[FORM].is_null() { body } else { body + ", form or query" }
}

/// Renders the successful responses of an operation.
fn responses(schemas: &Schemas, operation: &Value) -> String {
    let responses = operation["responses"].as_object().into_iter().flatten();
    let successful = responses.filter(|(status, _)| status.starts_with('2'));
    let rendered = successful.map(|(status, response)| {
        let content = response["content"].as_object().and_then(|content| content.iter().next());
        let body = content.map(|(content_type, content)| {
            let schema = &content["schema"];
            if content_type == JSON {
                return schemas.kind(schema);
            }
            let (content_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
            format!("`{content_type}`")
        });
        match body {
            Some(body) if status == "200" => body,
            Some(body) => format!("{status} {body}"),
            None => status.clone(),
        }
    });
    rendered.collect::<Vec<_>>().join(", ")
}
