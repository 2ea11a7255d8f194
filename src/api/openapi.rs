//! The OpenAPI document: the operations of all rows of the route table, and the webhook.

use hyper::Method;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{InfoBuilder, License, OpenApi, OpenApiBuilder};

use super::cameras::output::PartsOutput;
use super::failures;
use super::operation::Operation;
use super::reply::Problem;
use super::route::{Audience, Table};
use super::schema::{self, NamedSchemas};
use super::streams::output::RunningOutput;
use crate::webhooks::message::EventOutput;
use crate::webhooks::signature;

const ABOUT: &str = "Turns IP cameras (RTSP) into video that a browser plays, on demand.

Every error is a `Problem` with a `code` for programs. The nginx in front of the manager adds two codes: \
`too_many_requests` with status 429, and `manager_unavailable` with status 503. If a path does not support \
the method of a request, the status is 405. Later versions may add fields to responses.";

/// Returns the document as JSON.
pub(super) fn render(table: &Table) -> Vec<u8> {
    serde_json::to_vec(&document(table)).unwrap_or_default()
}

/// Returns the document.
pub(crate) fn document(table: &Table) -> OpenApi {
    // Added here, because only schemas that are written by hand refer to these types.
    let mut schemas = NamedSchemas::new();
    schema::add::<Problem>(&mut schemas);
    schema::add::<RunningOutput>(&mut schemas);
    schema::add::<PartsOutput>(&mut schemas);
    let mut paths = PathsBuilder::new();
    for row in table.rows() {
        let (Some(operation), Some(method)) = (row.operation, http_method(&row.method)) else {
            continue;
        };
        let (operation, keys) = with_security(operation(), row.audience);
        let (operation, named) = operation.build();
        schemas.extend(named);
        let operation = keys.iter().fold(operation, |operation, key| {
            operation.security(SecurityRequirement::new::<_, [&str; 0], _>(*key, []))
        });
        paths = paths.path(row.path, PathItem::new(method, operation));
    }
    let (event, named) = event();
    schemas.extend(named);
    let event = PathItem::new(HttpMethod::Post, event);
    let mut components = ComponentsBuilder::new().schemas_from_iter(schemas);
    for (name, scheme) in security_schemes() {
        components = components.security_scheme(name, scheme);
    }
    let info = InfoBuilder::new()
        .title(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(License::new("MIT")));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .webhooks(Some(PathsBuilder::new().path("streamEvent", event)))
        .components(Some(components.build()))
        .build()
}

/// Returns the documentation of the webhook that is sent to `WEBHOOK_URL`.
fn event() -> (OperationBuilder, NamedSchemas) {
    let signature = ParameterBuilder::new()
        .name(signature::HEADER)
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "`t` is the time of sending in Unix seconds. `v1` is an HMAC-SHA256 with the key \
             `WEBHOOK_SECRET`. The signed text consists of the value of `t`, a dot and the body. The \
             header is missing if `WEBHOOK_SECRET` is not set.",
        ))
        .schema(Some(schema::string(Some("^t=[0-9]+,v1=[0-9a-f]{64}$"))));
    Operation::new("webhooks", "streamEvent", "Reports an event of a stream or a camera, or an event that a back end has reported")
        .describe(
            "The event is sent to `WEBHOOK_URL`. It is sent again after status 408, 429 or 5xx, and \
             if the receiver is unreachable or does not respond within 10 s. The event is dropped after \
             12 attempts or 5 minutes, and at once after any other status that is not 2xx.",
        )
        .sends::<EventOutput>()
        .returns_nothing("The event is accepted. Every other 2xx status means the same.")
        .parameter(signature)
        .build()
}

/// Adds the errors for clients outside of the audience to the operation. Returns the operation, and
/// the names of the security schemes that the operation accepts.
fn with_security(operation: Operation, audience: Audience) -> (Operation, &'static [&'static str]) {
    match audience {
        Audience::Everyone => (operation, &[]),
        Audience::Callers(_) => (operation.fails(failures::CREDENTIALS), &["bearer", "api_key"]),
        Audience::Viewers => {
            (operation.fails(failures::CREDENTIALS), &["bearer", "api_key", "playback"])
        }
    }
}

fn security_schemes() -> [(&'static str, SecurityScheme); 3] {
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description = Some("An API key or, for media, a playback token.".to_owned());
    let api_key = ApiKeyValue::with_description("X-API-Key", "An API key.");
    let playback = ApiKeyValue::with_description("playback", "A playback token, for media.");
    [
        ("bearer", SecurityScheme::Http(bearer)),
        ("api_key", SecurityScheme::ApiKey(ApiKey::Header(api_key))),
        ("playback", SecurityScheme::ApiKey(ApiKey::Cookie(playback))),
    ]
}

fn http_method(method: &Method) -> Option<HttpMethod> {
    match *method {
        Method::GET => Some(HttpMethod::Get),
        Method::POST => Some(HttpMethod::Post),
        Method::PUT => Some(HttpMethod::Put),
        Method::DELETE => Some(HttpMethod::Delete),
        Method::PATCH => Some(HttpMethod::Patch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::api::reply::JSON;
    use crate::api::route::Row;
    use crate::api::{aliases, routes};
    use crate::base::error::ErrorKind;

    fn table() -> Table {
        Table::new(routes::all())
    }

    fn json() -> Value {
        serde_json::from_slice(&render(&table())).expect("a document")
    }

    #[test]
    fn the_document_has_every_route_except_the_internal_one_the_sockets_and_the_aliases() {
        let undocumented = ["/internal/viewer", "/streams/{id}/live"];
        let method = |method: &Method| method.as_str().to_lowercase();
        let table = table();
        let aliases: BTreeSet<_> = aliases::routes().iter().map(|row| row.path).collect();
        let is_documented =
            |row: &&Row| !undocumented.contains(&row.path) && !aliases.contains(row.path);
        let documented = table.rows().filter(is_documented);
        let routes: BTreeSet<_> =
            documented.map(|row| (row.path.to_owned(), method(&row.method))).collect();
        let document = json();
        let paths = document["paths"].as_object().expect("paths");
        let found: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("an item").keys();
                methods.map(move |method| (path.clone(), method.clone()))
            })
            .collect();
        assert_eq!(found, routes);
    }

    #[test]
    fn events_are_documented_with_all_their_types() {
        let document = json();
        let event = &document["webhooks"]["streamEvent"]["post"];
        let body = &event["requestBody"]["content"][JSON]["schema"]["$ref"];
        assert_eq!(body, "#/components/schemas/EventOutput");
        let kinds = &document["components"]["schemas"]["EventKind"];
        for kind in ["started", "live", "stalled", "interrupted", "failed", "stopped"] {
            assert!(kinds.to_string().contains(&format!("\"stream.{kind}\"")), "{kinds}");
        }
        for kind in ["offline", "online"] {
            assert!(kinds.to_string().contains(&format!("\"camera.{kind}\"")), "{kinds}");
        }
    }

    #[test]
    fn every_reference_resolves() {
        fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        found.insert(reference);
                    }
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = json();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.contains("#/components/schemas/Problem"), "{found:?}");
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn endpoints_that_need_a_key_are_documented_as_such() {
        let document = json();
        for row in table().rows().filter(|row| row.operation.is_some()) {
            let is_open = row.audience == Audience::Everyone;
            let operation = &document["paths"][row.path][row.method.as_str().to_lowercase()];
            let name = format!("{} {}", row.method, row.path);
            assert_eq!(operation["security"].is_null(), is_open, "{name}");
            assert_eq!(operation["responses"]["401"].is_null(), is_open, "{name}");
            // Share links give these, too.
            let is_media = row.path.starts_with("/streams/")
                || row.path.starts_with("/recordings/")
                || (row.path.starts_with("/api/recordings/{id}") && !row.path.contains("/shares"));
            assert_eq!(row.audience == Audience::Viewers, is_media, "{name}");
        }
    }

    #[test]
    fn error_kinds_are_documented_by_their_codes() {
        let document = json();
        let codes = &document["components"]["schemas"]["ErrorKind"]["enum"];
        let expected: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(*codes, Value::from(expected));
        assert_eq!(*codes, serde_json::to_value(ErrorKind::ALL).expect("codes"));
    }
}
