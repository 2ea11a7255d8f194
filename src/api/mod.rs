//! The HTTP API: turns requests into calls of use cases, which are the functions in `crate::service`,
//! and the results of use cases into responses.
//!
//! Each resource is a module with its routes, its wire types, its handlers and the documentation of
//! its endpoints: [`streams`], [`cameras`], [`events`], [`sessions`], [`push`], [`media`], [`discovery`], [`system`] and
//! [`metrics`]. To add an endpoint, add a row to the `routes` of its resource; router, metrics,
//! OpenAPI document and reference page follow from the row. `CONTRIBUTING.md` lists all steps.
//!
//! | Module | Owns |
//! |---|---|
//! | [`server`], [`connection`] | accepting connections, within a limit, and draining them |
//! | [`router`] | handling a request: route, caller, time limit, log and metrics |
//! | [`routes`] | the route table: the rows of all resources |
//! | [`route`] | the type of a row, the look-up of a row, and the request as handlers get it |
//! | [`context`] | the parts of the manager that handlers use |
//! | [`credentials`] | the headers of a request that show the sender and the sender's credentials |
//! | [`websocket`] | opening a WebSocket, and its messages |
//! | [`input`] | reading the input of a request, within limits |
//! | [`byte_range`] | the header that requests a part of a file |
//! | [`reply`] | responses, and the HTTP status of each kind of error |
//! | [`wire`] | JSON types that several resources use |
//! | [`operation`], [`failures`], [`schema`] | the documentation of one endpoint |
//! | [`openapi`] | the OpenAPI document: the documentation of all endpoints |
//!
//! Every request has a time limit, and every body has a size limit. This layer starts no processes,
//! reads no files of streams and writes no playlists; lower layers do that.

pub(crate) mod aliases;
pub(crate) mod byte_range;
pub(crate) mod cameras;
mod connection;
pub(crate) mod context;
mod credentials;
pub(crate) mod discovery;
pub(crate) mod events;
mod failures;
mod form;
mod input;
pub(crate) mod media;
pub(crate) mod metrics;
pub(crate) mod motion;
pub(crate) mod openapi;
mod operation;
pub(crate) mod push;
pub(crate) mod recorder;
pub(crate) mod recordings;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod router;
pub(crate) mod routes;
mod schema;
pub(crate) mod server;
pub(crate) mod sessions;
pub(crate) mod streams;
pub(crate) mod system;
mod websocket;
mod wire;
