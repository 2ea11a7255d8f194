//! Metrics for Prometheus.
//!
//! | Module | Owns |
//! |---|---|
//! | [`endpoint`] | `GET /metrics` |
//! | [`exporter`] | all metrics together |
//! | [`requests`] | the number and duration of HTTP requests |
//! | [`streams`], [`process`] | values at the moment of a scrape: streams, disk, the manager's process |
//! | [`encode`] | encoding such values |
//! | [`text`] | the two text formats |
//!
//! Names follow Prometheus's conventions and begin with `stream_manager_`; `process_…` is the
//! manager's own process, under the names that every Prometheus client library uses. The number of
//! series is bounded: a camera's id is a label only while its stream runs, and only on metrics that
//! can disappear with it. Counting is an atomic addition, or a short lock for a histogram; it looks
//! up no name and allocates nothing.

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

/// The endpoint. It is for roles that see all cameras; the handler refuses the role that does not.
pub(super) fn routes() -> Vec<Row> {
    let viewers = Audience::Callers(Role::Viewer);
    vec![Row::new(
        Method::GET,
        "/metrics",
        viewers,
        |call| Box::pin(endpoint::get(call)),
        || {
            Operation::new("service", "getMetrics", "Returns metrics for Prometheus")
                .describe("As OpenMetrics for clients that accept it. Not for keys of role `user`.")
                .returns_other(text::PLAIN, Type::String, "The metrics.")
                .fails(&[ErrorKind::Internal, ErrorKind::RequestTimeout])
        },
    )]
}
