//! Metrics for Prometheus.
//!
//! | Module | Owns |
//! |---|---|
//! | [`endpoint`] | `GET /metrics` |
//! | [`exporter`] | the collection of all metrics |
//! | [`requests`] | the number and duration of HTTP requests |
//! | [`streams`], [`process`] | values that are read during a scrape: streams, disk, the manager's process |
//! | [`reachability`] | the number of reachable and unreachable cameras |
//! | [`encode`] | encoding values that are read during a scrape |
//! | [`text`] | the two text formats |
//!
//! Names follow Prometheus's conventions. The names of the metrics of the manager's own process
//! begin with `process_`, which all client libraries of Prometheus use. All other names begin with
//! `stream_manager_`.
//! The number of series is bounded, because a camera's id is a label only while its stream is running or
//! failed, and only on metrics that may disappear with the stream. Recording a request takes an atomic
//! addition for the counter and a short lock for the histogram, but no look-up of labels and no allocation of
//! memory.

use hyper::Method;
use utoipa::openapi::schema::Type;

use super::operation::Operation;
use super::route::{Audience, Row};
use crate::access::role::Role;
use crate::base::error::ErrorKind;

mod encode;
mod endpoint;
pub(crate) mod exporter;
mod process;
mod reachability;
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
                    "The format is OpenMetrics if the client accepts OpenMetrics. Otherwise, it is the \
                     older text format of Prometheus. API keys of role `user` are refused.",
                )
                .returns_other(text::PLAIN, Type::String, "The metrics.")
                .fails(&[ErrorKind::Internal, ErrorKind::RequestTimeout])
        },
    )]
}
