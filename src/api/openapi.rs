//! The OpenAPI document: the API for programs. What goes over the wire comes from the types, the
//! status of a failure from [`reply`], who may ask from [`route`]; here stands what each request
//! is for, what it takes and how it may fail.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, ComponentsBuilder, ObjectBuilder, OneOfBuilder, Type,
};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Content, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
    Schema,
};
use utoipa::{IntoParams, ToSchema};

use super::caller::CallerOutput;
use super::camera_model::{
    CameraInput, CameraOutput, CamerasOutput, ExportOutput, ImportOutput, ListInput, PartsOutput,
    TestInput, TestOutput, VendorsOutput,
};
use super::discovery::DiscoveryInput;
use super::model::{
    HealthOutput, IdInput, LogOutput, ProbeOutput, ProfileInput, Reload, RunningOutput, StartInput,
    StartOutput, StopOutput, StreamInput, StreamOutput, StreamsOutput,
};
use super::playback::{NewSessionOutput, SessionInput, SessionsOutput};
use super::reply::{self, Problem, Reply};
use super::route::{self, Needs};
use crate::api::metrics::text::PLAIN;
use crate::base::error::ErrorKind;
use crate::camera::id::{ID_PATTERN, STREAM_ID_PATTERN};
use crate::onvif::finder::Discovery;
use crate::webhooks::message::EventOutput;
use crate::webhooks::signature;

const ABOUT: &str = "Turns IP cameras (RTSP) into video that a browser plays, on demand.

Every error is a `Problem`, whose `code` programs may rely on. Behind nginx a status 429 may also have \
the code `too_many_requests`, and 503 the code `manager_unavailable`. Any path answers a method that \
it does not take with 405. Answers may get more fields.";

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const PROBLEM: &str = "application/problem+json";
const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// How every request that asks for a key or a token may fail.
const REFUSED: &[ErrorKind] =
    &[ErrorKind::Unauthorized, ErrorKind::Forbidden, ErrorKind::TooManyAttempts];
const NO_BODY: &[ErrorKind] =
    &[ErrorKind::InvalidRequest, ErrorKind::BodyTooLarge, ErrorKind::RequestTimeout];
const NO_DATABASE: &[ErrorKind] = &[ErrorKind::StorageUnavailable, ErrorKind::RequestTimeout];
const NO_CAMERA: &[ErrorKind] = &[ErrorKind::InvalidId, ErrorKind::UnknownCamera];
const NOT_KEPT: &[ErrorKind] =
    &[ErrorKind::InvalidId, ErrorKind::InvalidSource, ErrorKind::TooManyCameras];
/// A stream that runs goes over to the camera's new source.
const NO_CHANGE: &[ErrorKind] = &[ErrorKind::TooManyStreams, ErrorKind::ShuttingDown];
const NO_TEST: &[ErrorKind] = &[
    ErrorKind::InvalidId,
    ErrorKind::InvalidSource,
    ErrorKind::SourceForbidden,
    ErrorKind::SourceNotFound,
    ErrorKind::SourceUnauthorized,
    ErrorKind::SourceUnreachable,
    ErrorKind::SourceUnsupported,
    ErrorKind::SourceTimeout,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::Busy,
];
const NO_STREAM: &[ErrorKind] = &[
    ErrorKind::InvalidId,
    ErrorKind::InvalidSource,
    ErrorKind::SourceForbidden,
    ErrorKind::UnknownCamera,
    ErrorKind::RequestTimeout,
    ErrorKind::Stopped,
    ErrorKind::SourceNotFound,
    ErrorKind::SourceUnauthorized,
    ErrorKind::SourceUnreachable,
    ErrorKind::SourceUnsupported,
    ErrorKind::TooManyStreams,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::StorageUnavailable,
    ErrorKind::ShuttingDown,
    ErrorKind::SourceTimeout,
];

/// `GET /api/openapi.json`.
pub fn get() -> Reply {
    static DOCUMENT: LazyLock<Bytes> =
        LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());
    reply::with_body(StatusCode::OK, JSON, DOCUMENT.clone())
}

/// The document.
pub fn document() -> OpenApi {
    // What every request has in common, and what is named by schemas that are written here.
    let mut schemas = Vec::new();
    name::<Problem>(&mut schemas);
    name::<RunningOutput>(&mut schemas);
    name::<PartsOutput>(&mut schemas);
    let mut paths = PathsBuilder::new();
    for (method, path, request) in
        streams().into_iter().chain(cameras()).chain(sessions()).chain(service()).chain(media())
    {
        let (request, keys) = asking(&method, path, request);
        schemas.extend(request.schemas.iter().cloned());
        let operation = keys.into_iter().fold(request.operation(), OperationBuilder::security);
        let Some(method) = http_method(&method) else { continue };
        paths = paths.path(path, PathItem::new(method, operation));
    }
    let event = event();
    schemas.extend(event.schemas.iter().cloned());
    let event = PathItem::new(HttpMethod::Post, event.operation());
    let mut components = ComponentsBuilder::new().schemas_from_iter(schemas);
    for (name, scheme) in keys() {
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

fn streams() -> Vec<(Method, &'static str, Request)> {
    let start = |id| {
        Request::new("streams", id, "Starts a stream or joins it; answers when it is playable")
            .gives::<StartOutput>(200, "It is playable, or was not to be waited for.")
            .fails(NO_STREAM)
            .fails(&[ErrorKind::InvalidRequest])
    };
    let stop = |id| {
        Request::new("streams", id, "Ends a stream; answers when it has ended")
            .gives::<StopOutput>(200, "There is no stream, or none any more.")
            .fails(&[ErrorKind::InvalidId])
            .fails(NO_DATABASE)
    };
    let status = |id| {
        Request::new("streams", id, "State of one stream")
            .gives::<StreamOutput>(200, "The stream, or the camera's options while there is none.")
            .fails(&[ErrorKind::InvalidRequest])
            .fails(NO_CAMERA)
            .fails(NO_DATABASE)
    };
    let list = Request::new("streams", "listStreams", "State of all streams")
        .gives::<StreamsOutput>(200, "Those that the caller may see.")
        .fails(NO_DATABASE);
    let log = Request::new("streams", "getStreamLog", "What a stream's FFmpegs said last")
        .of(ID_PATTERN, "The camera's id.")
        .query::<ProfileInput>()
        .gives::<LogOutput>(200, "The lines, without secrets; none while there is no stream.")
        .fails(&[ErrorKind::InvalidRequest])
        .fails(NO_CAMERA)
        .fails(NO_DATABASE);
    let keeps = &[ErrorKind::TooManyCameras];
    vec![
        (
            Method::GET,
            "/api/stream/start",
            start("startStreamByQuery")
                .says("For back ends that ask this way. It starts a stream, GET or not.")
                .query::<StartInput>()
                .fails(keeps),
        ),
        (
            Method::POST,
            "/api/stream/start",
            start("startStream").input::<StartInput>().fails(keeps),
        ),
        (Method::POST, "/api/stream/stop", stop("stopStream").input::<IdInput>()),
        (Method::GET, "/api/stream/status", status("getStream").query::<IdInput>()),
        (Method::GET, "/api/streams", list),
        (Method::GET, "/api/streams/{id}/log", log),
        (
            Method::POST,
            "/api/cameras/{id}/stream/start",
            start("startCamera").of(ID_PATTERN, "The camera's id.").input::<StreamInput>(),
        ),
        (
            Method::POST,
            "/api/cameras/{id}/stream/stop",
            stop("stopCamera").of(ID_PATTERN, "The camera's id.").input::<StreamInput>(),
        ),
        (
            Method::GET,
            "/api/cameras/{id}/stream/status",
            status("getCameraStream").of(ID_PATTERN, "The camera's id.").query::<StreamInput>(),
        ),
    ]
}

fn cameras() -> Vec<(Method, &'static str, Request)> {
    let new = |id, summary| Request::new("cameras", id, summary).fails(NO_DATABASE);
    let one = |id, summary| new(id, summary).of(ID_PATTERN, "The camera's id.");
    let list = new("listCameras", "A page of the cameras")
        .query::<ListInput>()
        .gives::<CamerasOutput>(200, "The page, by id.")
        .fails(&[ErrorKind::InvalidRequest]);
    let create = new("createCamera", "Adds a camera")
        .body(schema::<CameraInput>())
        .gives::<CameraOutput>(201, "The camera is added.")
        .fails(NOT_KEPT)
        .fails(&[ErrorKind::CameraExists]);
    let get =
        one("getCamera", "One camera").gives::<CameraOutput>(200, "The camera.").fails(NO_CAMERA);
    let put = one("putCamera", "Adds a camera or replaces it")
        .says(
            "A source, or a password of the same address and user name, stays when it is left out. \
             Streams of the camera that run go over to what is new.",
        )
        .body(schema::<CameraInput>())
        .gives::<CameraOutput>(200, "The camera is replaced.")
        .gives::<CameraOutput>(201, "The camera is added.")
        .fails(NOT_KEPT)
        .fails(NO_CHANGE);
    let delete = one("deleteCamera", "Takes a camera out and ends its streams")
        .gives_nothing("The camera is gone.")
        .fails(NO_CAMERA);
    let export = new("exportCameras", "All cameras, with their sources sealed")
        .gives_list::<ExportOutput>("All cameras, as an import takes them.");
    let import = new("importCameras", "Adds or replaces all of these cameras, or none of them")
        .says("Each needs its `id`. The body may have 32 MiB.")
        .body(list_of::<CameraInput>())
        .with::<CameraInput>()
        .gives::<ImportOutput>(200, "All of them are taken.")
        .fails(NOT_KEPT)
        .fails(NO_CHANGE);
    let vendors =
        Request::new("cameras", "listVendors", "Where vendors' cameras have their streams")
            .gives::<VendorsOutput>(200, "The presets.");
    let test = new("testCamera", "Takes a picture of a camera, which need not be known")
        .says("Takes what adding the camera takes. Nothing is kept.")
        .body(schema::<TestInput>())
        .with::<TestInput>()
        .gives::<TestOutput>(200, "The camera can be taken; what it sends.")
        .fails(NO_TEST);
    let discover = new(
        "discoverCameras",
        "Looks for cameras on the network, or asks one, by ONVIF",
    )
    .says(
        "Only addresses that cameras may have here are asked. Credentials are offered to every \
             device that is asked, as a digest, and are not kept.",
    )
    .maybe_body::<DiscoveryInput>()
    .gives::<Discovery>(200, "Who answered; also when nobody did.")
    .fails(&[
        ErrorKind::InvalidSource,
        ErrorKind::SourceForbidden,
        ErrorKind::SourceUnreachable,
        ErrorKind::Busy,
    ]);
    vec![
        (Method::POST, "/api/discovery", discover),
        (Method::POST, "/api/cameras/test", test),
        (Method::GET, "/api/cameras", list),
        (Method::POST, "/api/cameras", create.with::<CameraInput>()),
        (Method::GET, "/api/cameras/{id}", get),
        (Method::PUT, "/api/cameras/{id}", put),
        (Method::DELETE, "/api/cameras/{id}", delete),
        (Method::GET, "/api/cameras.json", export),
        (Method::PUT, "/api/cameras.json", import),
        (Method::GET, "/api/vendors", vendors),
    ]
}

fn sessions() -> Vec<(Method, &'static str, Request)> {
    let new = |id, summary| Request::new("playback", id, summary);
    let list = new("listSessions", "The playback sessions")
        .gives::<SessionsOutput>(200, "Those that the caller may see.");
    let begin = new("beginSession", "Begins a playback session")
        .says("With `cookie` the answer also sets the token as the cookie `playback`.")
        .body(schema::<SessionInput>())
        .with::<SessionInput>()
        .gives::<NewSessionOutput>(201, "The session and its token, which is not shown again.")
        .fails(NO_CAMERA)
        .fails(NO_DATABASE)
        .fails(&[ErrorKind::TooManySessions]);
    let end = new("endSession", "Ends a playback session before its time")
        .of("", "The session's id.")
        .gives_nothing("Its token counts no more.")
        .fails(&[ErrorKind::UnknownSession])
        .fails(NO_DATABASE);
    vec![
        (Method::GET, "/api/playback/sessions", list),
        (Method::POST, "/api/playback/sessions", begin),
        (Method::DELETE, "/api/playback/sessions/{id}", end),
    ]
}

fn service() -> Vec<(Method, &'static str, Request)> {
    let new = |id, summary| Request::new("service", id, summary);
    let health = new("getHealth", "Health for the back end")
        .gives::<HealthOutput>(200, "The manager answers.");
    let caller = new("getCaller", "Who asks, and what the API key allows")
        .gives::<CallerOutput>(200, "The caller.");
    let document = new("getDocument", "This document").gives_other(
        JSON,
        Type::Object,
        "An OpenAPI 3.1 document.",
    );
    let live = new("getLive", "Whether the process answers").gives::<ProbeOutput>(200, "It does.");
    let ready = "Whether FFmpeg runs, and `STREAM_DIR` and the database can be written";
    let ready = new("getReady", ready)
        .says("If not, `problems` names all that is wrong, and `code` is the first one's.")
        .gives::<ProbeOutput>(200, "All of it is so.")
        .fails(NO_DATABASE)
        .fails(&[ErrorKind::FfmpegUnavailable, ErrorKind::ShuttingDown]);
    let metrics = new("getMetrics", "Metrics for a Prometheus")
        .says("As OpenMetrics for those who accept it. Not for keys of role `user`.")
        .gives_other(PLAIN, Type::String, "The metrics.")
        .fails(&[ErrorKind::Internal, ErrorKind::RequestTimeout]);
    vec![
        (Method::GET, "/api/caller", caller),
        (Method::GET, "/metrics", metrics),
        (Method::GET, "/api/health", health),
        (Method::GET, "/api/openapi.json", document),
        (Method::GET, "/livez", live),
        (Method::GET, "/readyz", ready),
    ]
}

fn media() -> Vec<(Method, &'static str, Request)> {
    let new = |id, summary| {
        Request::new("media", id, summary)
            .of(STREAM_ID_PATTERN, "The camera's id, with `~sub` behind it for the sub stream.")
            .gives_other(PLAYLIST, Type::String, "The playlist.")
            .fails(REFUSED)
            .fails(NO_STREAM)
            .fails(&[ErrorKind::StreamEnded])
    };
    let playlist = new("getPlaylist", "The playlist; starts the stream of a known camera")
        .says("With `_HLS_msn` it waits until the stream is so far (RFC 8216bis).")
        .query::<Reload>()
        .fails(&[ErrorKind::InvalidRequest]);
    let index = new("getIndex", "The multivariant playlist beside it");
    vec![
        (Method::GET, "/streams/{id}/stream.m3u8", playlist),
        (Method::GET, "/streams/{id}/index.m3u8", index),
    ]
}

/// What `WEBHOOK_URL` is sent.
fn event() -> Request {
    let signature = ParameterBuilder::new()
        .name(signature::HEADER)
        .parameter_in(ParameterIn::Header)
        .description(Some("HMAC-SHA256 with `WEBHOOK_SECRET`, where that is set."))
        .schema(Some(text("^t=[0-9]+,v1=[0-9a-f]{64}$")));
    let mut request = Request::new("webhooks", "streamEvent", "Something happened to a stream")
        .says("Sent to `WEBHOOK_URL`. 408, 429, 5xx and no answer within 10 s make it come again.")
        .takes(schema::<EventOutput>())
        .with::<EventOutput>()
        .gives_nothing("It is taken; any other 2xx says so too.");
    request.operation = request.operation.parameter(signature);
    request
}

/// What a request has besides because of who may ask: its keys, and how they are refused.
fn asking(method: &Method, path: &str, request: Request) -> (Request, Vec<SecurityRequirement>) {
    let key = |name: &str| SecurityRequirement::new::<_, [&str; 0], _>(name, []);
    match route::find(method, path) {
        Ok((_, needs)) if needs != Needs::Nothing => {
            (request.fails(REFUSED), vec![key("bearer"), key("api_key")])
        }
        _ if path.starts_with("/streams/") => {
            (request, vec![key("bearer"), key("api_key"), key("playback")])
        }
        _ => (request, Vec::new()),
    }
}

fn keys() -> [(&'static str, SecurityScheme); 3] {
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description = Some("An API key, or for media a playback token.".to_owned());
    let api_key = ApiKeyValue::with_description("X-API-Key", "An API key.");
    let playback = ApiKeyValue::with_description("playback", "A playback token, for media.");
    [
        ("bearer", SecurityScheme::Http(bearer)),
        ("api_key", SecurityScheme::ApiKey(ApiKey::Header(api_key))),
        ("playback", SecurityScheme::ApiKey(ApiKey::Cookie(playback))),
    ]
}

/// A request on its way into the document.
struct Request {
    operation: OperationBuilder,
    answers: BTreeMap<u16, ResponseBuilder>,
    failures: BTreeMap<u16, Vec<ErrorKind>>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Request {
    fn new(tag: &str, id: &str, summary: &str) -> Self {
        Self {
            operation: OperationBuilder::new()
                .tag(tag)
                .operation_id(Some(id))
                .summary(Some(summary)),
            answers: BTreeMap::new(),
            failures: BTreeMap::new(),
            schemas: Vec::new(),
        }
    }

    fn says(mut self, description: &str) -> Self {
        self.operation = self.operation.description(Some(description));
        self
    }

    /// Has this `id` in its path.
    fn of(mut self, pattern: &str, description: &str) -> Self {
        let id = ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .example(Some("front-door".into()).filter(|_| !pattern.is_empty()))
            .schema(Some(text(pattern)));
        self.operation = self.operation.parameter(id);
        self
    }

    fn query<T: IntoParams>(mut self) -> Self {
        let parameters = T::into_params(|| None);
        self.operation = self.operation.parameters(Some(parameters));
        self
    }

    /// Takes its input as JSON, as a form, or as a query when there is no body.
    fn input<T: ToSchema + IntoParams>(mut self) -> Self {
        for mut parameter in T::into_params(|| None) {
            parameter.required = Required::False;
            self.operation = self.operation.parameter(parameter);
        }
        let body = RequestBodyBuilder::new()
            .description(Some("May be left out for a query instead."))
            .content(JSON, Content::new(Some(schema::<T>())))
            .content(FORM, Content::new(Some(schema::<T>())));
        self.operation = self.operation.request_body(Some(body.build()));
        self.with::<T>().fails(NO_BODY)
    }

    fn body(self, schema: impl Into<RefOr<Schema>>) -> Self {
        self.takes(schema).fails(NO_BODY)
    }

    fn takes(mut self, schema: impl Into<RefOr<Schema>>) -> Self {
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content(JSON, Content::new(Some(schema)));
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    fn maybe_body<T: ToSchema>(mut self) -> Self {
        let body = RequestBodyBuilder::new()
            .required(Some(Required::False))
            .content(JSON, Content::new(Some(schema::<T>())));
        self.operation = self.operation.request_body(Some(body.build()));
        self.with::<T>().fails(NO_BODY)
    }

    fn gives<T: ToSchema>(self, status: u16, description: &str) -> Self {
        let mut answer = ResponseBuilder::new()
            .description(description)
            .content(JSON, Content::new(Some(schema::<T>())));
        if status == 201 && T::name() == CameraOutput::name() {
            answer = answer.header("Location", header(Type::String, "The camera's path."));
        }
        self.with::<T>().answer(status, answer)
    }

    fn gives_list<T: ToSchema>(self, description: &str) -> Self {
        let content = Content::new(Some(list_of::<T>()));
        let answer = ResponseBuilder::new().description(description).content(JSON, content);
        self.with::<T>().answer(200, answer)
    }

    fn gives_other(self, content_type: &str, kind: Type, description: &str) -> Self {
        let content = Content::new(Some(of_type(kind).build()));
        let answer = ResponseBuilder::new().description(description).content(content_type, content);
        self.answer(200, answer)
    }

    fn gives_nothing(self, description: &str) -> Self {
        self.answer(204, ResponseBuilder::new().description(description))
    }

    fn answer(mut self, status: u16, answer: ResponseBuilder) -> Self {
        self.answers.insert(status, answer);
        self
    }

    fn fails(mut self, kinds: &[ErrorKind]) -> Self {
        for kind in kinds {
            let kinds = self.failures.entry(reply::status(*kind).as_u16()).or_default();
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        self
    }

    /// Names a type, which needs to stand in the document then, with those that it names.
    fn with<T: ToSchema>(mut self) -> Self {
        name::<T>(&mut self.schemas);
        self
    }

    fn operation(self) -> OperationBuilder {
        let failures =
            self.failures.into_iter().map(|(status, kinds)| (status, failure(status, &kinds)));
        let answers = self.answers.into_iter().chain(failures);
        answers.fold(self.operation, |operation, (status, answer)| {
            operation.response(status.to_string(), answer.build())
        })
    }
}

/// Adds a type, and those that it names.
fn name<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

fn failure(status: u16, kinds: &[ErrorKind]) -> ResponseBuilder {
    let codes = kinds.iter().filter_map(|kind| serde_json::to_string(kind).ok());
    let codes: Vec<_> = codes.map(|code| format!("`{}`", code.trim_matches('"'))).collect();
    let answer = ResponseBuilder::new()
        .description(codes.join(", "))
        .content(PROBLEM, Content::new(Some(schema::<Problem>())));
    if matches!(status, 429 | 503) {
        let after = header(Type::Integer, "Seconds after which trying again may help.");
        answer.header("Retry-After", after)
    } else {
        answer
    }
}

fn header(kind: Type, description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(of_type(kind).build())).description(Some(description)).build()
}

fn http_method(method: &Method) -> Option<HttpMethod> {
    match *method {
        Method::GET => Some(HttpMethod::Get),
        Method::POST => Some(HttpMethod::Post),
        Method::PUT => Some(HttpMethod::Put),
        Method::DELETE => Some(HttpMethod::Delete),
        _ => None,
    }
}

fn schema<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn list_of<T: ToSchema>() -> Schema {
    ArrayBuilder::new().items(schema::<T>()).into()
}

fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

fn text(pattern: &str) -> Schema {
    let text = of_type(Type::String);
    let pattern = Some(pattern).filter(|pattern| !pattern.is_empty());
    text.pattern(pattern).into()
}

/// The schema of a camera's id where a number will do too.
pub fn text_or_number() -> Schema {
    OneOfBuilder::new()
        .item(text(ID_PATTERN))
        .item(of_type(Type::Integer).minimum(Some(0)))
        .description(Some("The camera's id; numbers are taken too."))
        .into()
}

/// The schema of what a running stream's state has besides.
pub fn if_running() -> Schema {
    maybe::<RunningOutput>("What is known only while there is a stream.")
}

/// The schema of what a camera has besides that was given by its address.
pub fn if_parts() -> Schema {
    maybe::<PartsOutput>("Address and paths, when the camera was given that way.")
}

/// Fields that are there together or not at all. The derived schema would ask for null instead.
fn maybe<T: ToSchema>(description: &str) -> Schema {
    let fields = AnyOfBuilder::new().item(schema::<T>()).item(of_type(Type::Object));
    fields.description(Some(description)).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn json() -> Value {
        serde_json::to_value(document()).expect("a document")
    }

    #[test]
    fn it_has_what_the_routes_have_and_nothing_else() {
        let all = route::table().flat_map(|(path, methods, _)| {
            methods.iter().map(move |method| (path.to_owned(), method.as_str().to_lowercase()))
        });
        // HEAD is what GET is, and nginx alone asks the other.
        let routes: BTreeSet<_> =
            all.filter(|(path, method)| method != "head" && path != "/internal/viewer").collect();
        let document = json();
        let paths = document["paths"].as_object().expect("paths");
        let documented: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("an item").keys();
                methods.map(move |method| (path.clone(), method.clone()))
            })
            .collect();
        assert_eq!(documented, routes);
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
    }

    #[test]
    fn every_reference_leads_somewhere() {
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
    fn those_who_need_a_key_are_told_so() {
        let document = json();
        for (path, methods, needs) in
            route::table().filter(|(path, ..)| *path != "/internal/viewer")
        {
            let is_open = needs == Needs::Nothing && !path.starts_with("/streams/");
            for method in methods.iter().filter(|method| *method != Method::HEAD) {
                let operation = &document["paths"][path][method.as_str().to_lowercase()];
                assert_eq!(operation["security"].is_null(), is_open, "{method} {path}");
                assert_eq!(operation["responses"]["401"].is_null(), is_open, "{method} {path}");
            }
        }
    }
}
