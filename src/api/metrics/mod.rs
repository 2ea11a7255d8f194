//! Metrics for Prometheus.
//!
//! | Module | Owns |
//! |---|---|
//! | [`endpoint`] | `GET /metrics` |
//! | [`exporter`] | all metrics together |
//! | [`requests`] | counts and durations of HTTP requests |
//! | [`streams`] | the state at the moment of a scrape: streams, viewers, processes, disk |
//! | [`text`] | the two text formats |
//!
//! Names follow Prometheus's conventions and begin with `stream_manager_`; `process_…` is the
//! manager's own process, under the names that every Prometheus client library uses. The number of
//! series is bounded: a camera's id is a label only while its stream runs, and only on metrics that
//! can disappear with it. Counting is an atomic addition, or a short lock for a histogram; it looks
//! up no name and allocates nothing.

pub mod endpoint;
pub mod exporter;
pub mod requests;
pub mod streams;
pub mod text;
