//! The number and duration of HTTP requests that the manager has answered.
//!
//! Paths whose requests may wait for a camera or its stream, for example for a start or for the next part
//! of a playlist, have a separate histogram, because the duration of these requests depends on the camera.
//! Requests for unknown paths, or with a method that the path does not have, are counted, but their duration
//! is not recorded.

use std::time::Duration;

use hyper::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Buckets for requests that do not wait, in seconds. Most responses come from memory.
const QUICK_SECONDS: [f64; 11] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Buckets for requests that may wait, in seconds. A part lasts a fraction of a second; a start can
/// take `START_TIMEOUT_SECONDS`.
const WAITING_SECONDS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 15.0, 30.0];

/// The status classes that are counted. The redirects of the aliases (3xx) are not counted.
const STATUS_CLASSES: [(u16, &str); 3] = [(2, "2xx"), (4, "4xx"), (5, "5xx")];
/// The label of methods that a path does not have, and of paths that do not exist.
const OTHER: &str = "other";

/// The labels of one path of the route table.
#[derive(Debug, Clone)]
pub(crate) struct RouteLabels {
    /// The path, with `{id}` for any id.
    pub(crate) path: &'static str,
    /// The methods of the path.
    pub(crate) methods: Vec<Method>,
    /// True if requests for the path may wait for a camera or its stream. Such requests have a separate
    /// histogram.
    pub(crate) waits: bool,
}

/// The metrics of requests, by path.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    routes: Vec<RouteMetrics>,
    /// Requests for paths that do not exist.
    unmatched: Counter,
}

/// The counters and the histogram of one path. They are looked up only once, at registration.
#[derive(Debug)]
struct RouteMetrics {
    methods: Vec<(Method, [Counter; STATUS_CLASSES.len()])>,
    /// Requests with methods that the path does not have.
    other: Counter,
    duration: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    route: &'static str,
}

type Durations = Family<DurationLabels, Histogram, fn() -> Histogram>;

impl RequestMetrics {
    /// Creates the metrics of these paths and registers them.
    pub(crate) fn register(
        to: &mut Registry,
        routes: impl IntoIterator<Item = RouteLabels>,
    ) -> Self {
        let answered = Family::<RequestLabels, Counter>::default();
        let quick = Durations::new_with_constructor(|| Histogram::new(QUICK_SECONDS));
        let waiting = Durations::new_with_constructor(|| Histogram::new(WAITING_SECONDS));
        let help = "Answered requests, by path, method and status class";
        to.register("http_requests", help, answered.clone());
        let help = "Duration of requests that do not wait for a camera";
        to.register_with_unit("http_request_duration", help, Unit::Seconds, quick.clone());
        let help = "Duration of requests that may wait for a camera or its stream, for example for a \
                    start or for the next part of a playlist";
        let name = "http_waiting_request_duration";
        to.register_with_unit(name, help, Unit::Seconds, waiting.clone());

        let count = |route, method: &str, status| {
            let method = method.to_owned();
            answered.get_or_create_owned(&RequestLabels { route, method, status })
        };
        let route = |RouteLabels { path, methods, waits }| {
            let by_class = |method: Method| {
                let counters = STATUS_CLASSES.map(|(_, class)| count(path, method.as_str(), class));
                (method, counters)
            };
            let durations = if waits { &waiting } else { &quick };
            RouteMetrics {
                methods: methods.into_iter().map(by_class).collect(),
                other: count(path, OTHER, "4xx"),
                duration: durations.get_or_create_owned(&DurationLabels { route: path }),
            }
        };
        let routes = routes.into_iter().map(route).collect();
        Self { routes, unmatched: count(OTHER, OTHER, "4xx") }
    }

    /// Counts the response to a request, and records the duration if the path has the method. `index` is
    /// the index of the path in the route table; `None` if the path is not in the table.
    pub(crate) fn answered(
        &self,
        index: Option<usize>,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let Some(route) = index.and_then(|index| self.routes.get(index)) else {
            self.unmatched.inc();
            return;
        };
        let Some((_, counters)) = route.methods.iter().find(|(known, _)| known == method) else {
            route.other.inc();
            return;
        };
        let class = STATUS_CLASSES.iter().position(|(class, _)| *class == status.as_u16() / 100);
        if let Some(class) = class {
            counters[class].inc();
        }
        route.duration.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::route::{RouteMatch, Table};
    use crate::api::routes;

    #[test]
    fn requests_are_counted_by_their_route() {
        let mut registry = Registry::default();
        let table = Table::new(routes::all());
        let requests = RequestMetrics::register(&mut registry, table.labels());
        let request = |method, path, status| {
            let index = match table.find(&method, path) {
                RouteMatch::Row { index, .. } | RouteMatch::OtherMethods { index, .. } => {
                    Some(index)
                }
                RouteMatch::Nothing => None,
            };
            requests.answered(index, &method, status, Duration::from_millis(3));
        };
        request(Method::GET, "/api/cameras/front-door", StatusCode::OK);
        request(Method::GET, "/api/cameras/garage", StatusCode::NOT_FOUND);
        request(Method::TRACE, "/api/cameras/garage", StatusCode::METHOD_NOT_ALLOWED);
        request(Method::GET, "/wp-login.php", StatusCode::NOT_FOUND);
        request(Method::GET, "/streams/front-door/stream.m3u8", StatusCode::OK);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("metrics");
        let camera_label = r#"route="/api/cameras/{id}""#;
        let playlist_label = r#"route="/streams/{id}/stream.m3u8""#;
        for line in [
            &format!(r#"http_requests_total{{{camera_label},method="GET",status="2xx"}} 1"#),
            &format!(r#"http_requests_total{{{camera_label},method="GET",status="4xx"}} 1"#),
            &format!(r#"http_requests_total{{{camera_label},method="GET",status="5xx"}} 0"#),
            &format!(r#"http_requests_total{{{camera_label},method="other",status="4xx"}} 1"#),
            r#"http_requests_total{route="other",method="other",status="4xx"} 1"#,
            &format!(r#"http_request_duration_seconds_bucket{{le="0.0025",{camera_label}}} 0"#),
            &format!(r#"http_request_duration_seconds_bucket{{le="0.005",{camera_label}}} 2"#),
            &format!("http_waiting_request_duration_seconds_count{{{playlist_label}}} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "missing: {line}\n{text}");
        }
        for never in ["front-door", "wp-login", "TRACE"] {
            assert!(!text.contains(never), "{text}");
        }
        let quick = format!("http_request_duration_seconds_count{{{playlist_label}");
        assert!(!text.contains(&format!("\n{quick}")), "{text}");
    }
}
