//! The HTTP edge: from requests to use cases, and from their results to answers.
//!
//! Each resource is a module with its routes, its wire types, its handlers and the documentation of
//! its endpoints: [`streams`], [`cameras`], [`sessions`], [`media`], [`discovery`], [`system`] and
//! [`metrics`]. To add an endpoint, add a row to the `routes` of its resource; router, metrics,
//! OpenAPI document and reference page follow from the row. `CONTRIBUTING.md` lists all steps.
//!
//! | Module | Owns |
//! |---|---|
//! | [`server`], [`connection`] | accepting connections, within limits, and draining them |
//! | [`router`] | one request: its route, its caller, its time limit, its place in log and metrics |
//! | [`routes`] | the table of routes: the rows of all resources |
//! | [`route`] | what a row is, how a path finds it, and what a handler gets |
//! | [`context`] | what handlers work on |
//! | [`credentials`] | credentials in the headers of a request |
//! | [`input`] | reading the input of a request, within limits |
//! | [`reply`] | answers, and the HTTP status of each kind of error |
//! | [`wire`] | types and forms of values that several resources use |
//! | [`operation`], [`failures`], [`schema`] | the documentation of one endpoint |
//! | [`openapi`] | the documentation of all endpoints, for programs |
//!
//! Every request has a time limit and every body a size limit. Nothing here starts a process, touches
//! a file of a stream, or knows what a playlist consists of: lower layers do, and answers show what
//! these return.

pub(crate) mod cameras;
mod connection;
pub(crate) mod context;
mod credentials;
pub(crate) mod discovery;
mod failures;
mod input;
pub(crate) mod media;
pub(crate) mod metrics;
pub(crate) mod openapi;
mod operation;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod router;
pub(crate) mod routes;
mod schema;
pub(crate) mod server;
pub(crate) mod sessions;
pub(crate) mod streams;
pub(crate) mod system;
mod wire;
