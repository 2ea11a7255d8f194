//! Metrics for Prometheus.
//!
//! | Module | Owns |
//! |---|---|
//! | [`endpoint`] | `GET /metrics` |
//! | [`exporter`] | the collection of all metrics |
//! | [`requests`] | the number and duration of HTTP requests |
//! | [`streams`], [`process`] | values that are read during a scrape: streams, disk, the manager's process |
//! | [`encode`] | encoding these values |
//! | [`text`] | the two text formats |
//!
//! Names follow Prometheus's conventions and begin with `stream_manager_`. Metrics of the manager's
//! own process begin with `process_`, and have the names that every Prometheus client library uses.
//! The number of series is bounded: a camera's id is a label only while its stream is running, and
//! only on metrics that may disappear with the stream. Counting a request is an atomic addition, or
//! takes a short lock for a histogram. It neither looks up names nor allocates memory.

use hyper::Method;
use utoipa::openapi::schema::Type;

use super::operation::Operation;
use super::route::{Audience, Row};
use crate::access::keys::Role;
use crate::base::error::ErrorKind;

mod encode;
mod endpoint;
pub(crate) mod exporter;
mod process;
pub(crate) mod requests;
mod streams;
pub(crate) mod text;

/// The endpoint. It is for roles that can see all cameras; the handler refuses the role `user`.
pub(super) fn routes() -> Vec<Row> {
    let viewers = Audience::Callers(Role::Viewer);
    vec![Row::new(
        Method::GET,
        "/metrics",
        viewers,
        |call| Box::pin(endpoint::get(call)),
        || {
            Operation::new("service", "getMetrics", "Returns metrics for Prometheus")
                .describe(
                    "Clients that accept OpenMetrics get that format. API keys of role `user` are \
                     refused.",
                )
                .returns_other(text::PLAIN, Type::String, "The metrics.")
                .fails(&[ErrorKind::Internal, ErrorKind::RequestTimeout])
        },
    )]
}
