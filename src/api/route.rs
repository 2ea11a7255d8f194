//! The route table: its rows, the look-up of a row, and the request as handlers get it.

use std::collections::HashMap;
use std::pin::Pin;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::Api;
use super::credentials::{self, Peer};
use super::input::{self, RequestBody};
use super::metrics::requests::RouteLabels;
use super::operation::Operation;
use super::reply::Reply;
use crate::access::Caller;
use crate::access::credentials::Credentials;
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::base::url::percent_decoded;
use crate::camera::id::CameraId;

/// One endpoint: its path and method, its audience, its handler and its documentation.
pub(crate) struct Row {
    /// The path, in which `{id}` matches any one segment.
    pub(crate) path: &'static str,
    /// The method.
    pub(crate) method: Method,
    /// The clients that can use the endpoint.
    pub(crate) audience: Audience,
    /// The function that handles the requests.
    handler: Handler,
    /// The documentation; `None` for endpoints that only nginx uses, and for aliases.
    pub(super) operation: Option<fn() -> Operation>,
    /// True if HEAD is handled like GET.
    answers_head: bool,
    /// True if requests may wait for a camera or its stream. The durations of such requests have a separate
    /// metric.
    waits: bool,
}

/// The clients of an endpoint. The use case checks further conditions, such as a camera's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// All clients. No API key is required, because some clients, for example orchestrators, have none.
    Everyone,
    /// Viewers with an API key or a playback token, which the use case checks.
    Viewers,
    /// Callers with an API key of this role or a higher role.
    Callers(Role),
}

/// A function that handles the requests of one endpoint.
type Handler = for<'a> fn(Call<'a>) -> ReplyFuture<'a>;

/// The response that a handler will return.
pub(super) type ReplyFuture<'a> = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send + 'a>>;

/// A request as its handler gets it.
pub(crate) struct Call<'a> {
    /// The parts of the manager that handlers use.
    pub(super) api: &'a Api,
    /// The route table.
    pub(super) table: &'a Table,
    /// The caller; anonymous if the endpoint requires no role.
    pub(super) caller: Caller,
    /// The `{id}` in the path, unchecked; empty if the path has none.
    pub(super) id: String,
    /// The request without its body.
    pub(super) head: Parts,
    /// The body.
    pub(super) body: RequestBody,
    /// The other end of the connection.
    pub(super) peer: &'a Peer,
}

impl Call<'_> {
    /// Parses the id of the camera in the path. Blanks around the id, which are percent-encoded in a path, are
    /// removed.
    pub(super) fn camera_id(&self) -> Result<CameraId, Error> {
        CameraId::parse(percent_decoded(&self.id).trim())
    }

    /// Returns the credentials of the request, and what it shows about its sender.
    pub(super) fn shown(&self) -> Credentials<'_> {
        credentials::shown(&self.head, self.peer)
    }

    /// Reads the input. The body is limited to 64 KiB.
    pub(super) async fn input<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        input::read(&self.head, &mut self.body).await
    }

    /// Reads the query, whatever the method is.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Error> {
        input::query(&self.head)
    }

    /// Reads the query. Fails if there is a body, so that a client which sends its conditions in the body does not delete
    /// more than it wants to.
    pub(super) async fn query_without_body<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        input::ensure_no_body(&mut self.body).await?;
        self.query()
    }

    /// Reads a file: the body, or the first file of a multipart form. The body is limited to `max_body` bytes.
    pub(super) async fn file_up_to(&mut self, max_body: usize) -> Result<Vec<u8>, Error> {
        let body = input::read_body(&mut self.body, max_body).await?;
        input::file(&self.head.headers, body).await
    }
}

impl Call<'_> {
    /// Handles another request, with a JSON body, for the same caller, and returns the response. The caller must
    /// have the role that the other request requires.
    pub(super) async fn forward(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Reply, Error> {
        let unknown = || Error::new(ErrorKind::NotFound, format!("unknown path {path}"));
        let uri: Uri = path.parse().map_err(|_| unknown())?;
        let RouteMatch::Row { row, id, .. } = self.table.find(&method, uri.path()) else {
            return Err(unknown());
        };
        if let Audience::Callers(role) = row.audience {
            self.caller.ensure_role(role)?;
        }
        let mut head = self.head.clone();
        (head.method, head.uri) = (method, uri);
        head.headers.remove(CONTENT_TYPE);
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let body = RequestBody::Made(body);
        let (api, table, caller, peer) = (self.api, self.table, self.caller.clone(), self.peer);
        row.handle(Call { api, table, caller, id, head, body, peer }).await
    }
}

impl Row {
    /// Creates a documented endpoint.
    pub(super) fn new(
        method: Method,
        path: &'static str,
        audience: Audience,
        handler: Handler,
        operation: fn() -> Operation,
    ) -> Self {
        Self { operation: Some(operation), ..Self::internal(method, path, audience, handler) }
    }

    /// Creates an endpoint that is not in the OpenAPI document.
    pub(super) fn internal(
        method: Method,
        path: &'static str,
        audience: Audience,
        handler: Handler,
    ) -> Self {
        let answers_head = method == Method::GET;
        Self { path, method, audience, handler, operation: None, answers_head, waits: false }
    }

    /// Marks the endpoint as one whose requests may wait for a camera or its stream.
    pub(super) fn waits(self) -> Self {
        Self { waits: true, ..self }
    }

    /// Makes the endpoint refuse HEAD, although it answers GET.
    pub(super) fn without_head(self) -> Self {
        Self { answers_head: false, ..self }
    }

    /// Handles a request.
    pub(super) fn handle<'a>(&self, call: Call<'a>) -> ReplyFuture<'a> {
        (self.handler)(call)
    }

    fn answers(&self, method: &Method) -> bool {
        self.method == *method || self.answers_head && *method == Method::HEAD
    }

    fn methods(&self) -> impl Iterator<Item = Method> {
        let head = self.answers_head.then_some(Method::HEAD);
        std::iter::once(self.method.clone()).chain(head)
    }
}

/// A path of the table, with one row for each of its methods.
struct Endpoint {
    path: &'static str,
    rows: Vec<Row>,
}

/// The route table.
pub(crate) struct Table {
    /// All paths. Metrics count the requests for a path by the index of the path.
    endpoints: Vec<Endpoint>,
    /// The indexes in `endpoints` of paths without `{id}`.
    fixed: HashMap<&'static str, usize>,
    /// The indexes in `endpoints` of paths with `{id}`.
    patterns: matchit::Router<usize>,
}

/// The result of a look-up by path and method.
pub(super) enum RouteMatch<'t> {
    /// The endpoint of this row.
    Row {
        /// The index of the path in the table.
        index: usize,
        /// The row.
        row: &'t Row,
        /// The `{id}` in the path.
        id: String,
    },
    /// The path exists, but does not have the request's method.
    OtherMethods {
        /// The index of the path in the table.
        index: usize,
        /// The methods of the path.
        allowed: Vec<Method>,
    },
    /// The table has no such path.
    Nothing,
}

impl Table {
    /// Creates a table with these rows.
    pub(crate) fn new(rows: impl IntoIterator<Item = Row>) -> Self {
        let mut table =
            Self { endpoints: Vec::new(), fixed: HashMap::new(), patterns: matchit::Router::new() };
        for row in rows {
            table.add(row);
        }
        table
    }

    fn add(&mut self, row: Row) {
        if let Some(known) = self.endpoints.iter_mut().find(|known| known.path == row.path) {
            known.rows.push(row);
            return;
        }
        let (path, index) = (row.path, self.endpoints.len());
        self.endpoints.push(Endpoint { path, rows: vec![row] });
        if path.contains('{') {
            #[expect(clippy::expect_used, reason = "tests find paths that conflict")]
            self.patterns.insert(path, index).expect("paths that do not conflict");
        } else {
            self.fixed.insert(path, index);
        }
    }

    /// Returns all rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.rows)
    }

    /// Returns the labels of all paths for metrics, in the order of the paths' indexes.
    pub(crate) fn labels(&self) -> impl Iterator<Item = RouteLabels> {
        self.endpoints.iter().map(|endpoint| RouteLabels {
            path: endpoint.path,
            methods: endpoint.rows.iter().flat_map(Row::methods).collect(),
            waits: endpoint.rows.iter().any(|row| row.waits),
        })
    }

    /// Returns the row for a request. Ignores slashes at the end of an API path. First tries a path without `{id}`.
    /// If that path does not have the method, tries a path with `{id}`. So a camera can have the id `test` although
    /// there is a path `/api/cameras/test`. If no matching path has the method, returns the methods of the first
    /// matching path.
    pub(super) fn find(&self, method: &Method, path: &str) -> RouteMatch<'_> {
        let path = if path.starts_with("/api/") { path.trim_end_matches('/') } else { path };
        let fixed = self.fixed.get(path).map(|index| (*index, String::new()));
        let pattern = || {
            let found = self.patterns.at(path).ok()?;
            Some((*found.value, found.params.get("id").unwrap_or_default().to_owned()))
        };
        let mut first = None;
        for (index, id) in fixed.into_iter().chain(std::iter::once_with(pattern).flatten()) {
            let rows = &self.endpoints[index].rows;
            if let Some(row) = rows.iter().find(|row| row.answers(method)) {
                return RouteMatch::Row { index, row, id };
            }
            first.get_or_insert(index);
        }
        match first {
            Some(index) => {
                let allowed = self.endpoints[index].rows.iter().flat_map(Row::methods).collect();
                RouteMatch::OtherMethods { index, allowed }
            }
            None => RouteMatch::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes;

    /// Returns the path and the id of the row that is found; otherwise the allowed methods, or
    /// `nothing`.
    fn find(method: &Method, path: &str) -> Result<(String, String), String> {
        match Table::new(routes::all()).find(method, path) {
            RouteMatch::Row { row, id, .. } => Ok((row.path.to_owned(), id)),
            RouteMatch::OtherMethods { allowed, .. } => {
                Err(allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
            }
            RouteMatch::Nothing => Err("nothing".to_owned()),
        }
    }

    #[test]
    fn a_row_is_found_by_path_and_method() {
        let table = [
            (Method::GET, "/api/stream/start", Ok(("/api/stream/start", ""))),
            (Method::POST, "/api/stream/start", Ok(("/api/stream/start", ""))),
            (Method::HEAD, "/api/stream/start", Err("GET, POST")),
            (Method::GET, "/api/stream/stop", Err("POST")),
            (Method::DELETE, "/api/streams", Err("GET, HEAD")),
            (Method::HEAD, "/livez", Ok(("/livez", ""))),
            (Method::GET, "/streams/7/stream.m3u8", Ok(("/streams/{id}/stream.m3u8", "7"))),
            (Method::GET, "/streams/7/index.m3u8", Ok(("/streams/{id}/index.m3u8", "7"))),
            (Method::POST, "/api/cameras/test", Ok(("/api/cameras/test", ""))),
            (Method::PUT, "/api/cameras/test", Ok(("/api/cameras/{id}", "test"))),
            (Method::GET, "/api/cameras/test", Ok(("/api/cameras/{id}", "test"))),
            (Method::PATCH, "/api/cameras/test", Err("POST")),
            (
                Method::POST,
                "/api/cameras/test/stream/start",
                Ok(("/api/cameras/{id}/stream/start", "test")),
            ),
            (Method::GET, "/streams/7/8/stream.m3u8", Err("nothing")),
            (Method::GET, "/streams/7/1.m4s", Err("nothing")),
            (Method::GET, "/", Err("nothing")),
            (Method::GET, "", Err("nothing")),
            (Method::GET, "/api/streams/", Ok(("/api/streams", ""))),
            (Method::PUT, "/api/cameras/test//", Ok(("/api/cameras/{id}", "test"))),
            (Method::GET, "/api/", Err("nothing")),
            (Method::GET, "/livez/", Err("nothing")),
            (Method::GET, "/streams/7/stream.m3u8/", Err("nothing")),
        ];
        for (method, path, expected) in table {
            let expected = expected
                .map(|(path, id): (&str, &str)| (path.to_owned(), id.to_owned()))
                .map_err(str::to_owned);
            assert_eq!(find(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn no_two_rows_have_the_same_path_and_method() {
        let rows = routes::all();
        for (index, row) in rows.iter().enumerate() {
            let is_same = |other: &Row| (other.path, &other.method) == (row.path, &row.method);
            assert!(!rows[..index].iter().any(is_same), "{} {}", row.method, row.path);
        }
    }
}
