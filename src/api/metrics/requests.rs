//! The HTTP requests that were answered: how many, how, and how long that took.
//!
//! Requests that wait for a camera or a player's next part have a histogram of their own: how long
//! they take says nothing about the manager.

use std::time::Duration;

use hyper::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::api::route;

/// Seconds; most answers come out of memory.
const QUICK_SECONDS: [f64; 11] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Seconds; a part comes every tenth of a second, a start may take `START_TIMEOUT_SECONDS`.
const WAITING_SECONDS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 15.0, 30.0];

/// Classes of status: the service answers neither 1xx nor 3xx.
const CLASSES: [(u16, &str); 3] = [(2, "2xx"), (4, "4xx"), (5, "5xx")];
/// What stands for methods that a route does not take, and for paths that are none.
const OTHER: &str = "other";

/// The counts of all routes.
#[derive(Debug)]
pub struct Requests {
    routes: Vec<RouteCounts>,
    /// Requests for paths that are none.
    unmatched: Counter,
}

/// The counts of one route, resolved once so that counting needs no look-up.
#[derive(Debug)]
struct RouteCounts {
    methods: Vec<(Method, [Counter; CLASSES.len()])>,
    /// Requests with methods that it does not take.
    other: Counter,
    duration: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    route: &'static str,
    method: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Path {
    route: &'static str,
}

type Durations = Family<Path, Histogram, fn() -> Histogram>;

impl Requests {
    /// Counts for every route, and their names.
    pub fn register(to: &mut Registry) -> Self {
        let answered = Family::<Kind, Counter>::default();
        let quick = Durations::new_with_constructor(|| Histogram::new(QUICK_SECONDS));
        let waiting = Durations::new_with_constructor(|| Histogram::new(WAITING_SECONDS));
        let help = "Requests that were answered, by path, method and class of status";
        to.register("http_requests", help, answered.clone());
        let help = "How long requests took that wait for nobody";
        to.register_with_unit("http_request_duration", help, Unit::Seconds, quick.clone());
        let help = "How long requests took that wait for a camera or for its next part";
        let name = "http_waiting_request_duration";
        to.register_with_unit(name, help, Unit::Seconds, waiting.clone());

        let count = |route, method: &str, status| {
            answered.get_or_create_owned(&Kind { route, method: method.to_owned(), status })
        };
        let routes = route::table().map(|(path, methods, _)| RouteCounts {
            methods: methods
                .iter()
                .map(|method| {
                    let counters = CLASSES.map(|(_, class)| count(path, method.as_str(), class));
                    (method.clone(), counters)
                })
                .collect(),
            other: count(path, OTHER, "4xx"),
            duration: if route::waits(path) { &waiting } else { &quick }
                .get_or_create_owned(&Path { route: path }),
        });
        Self { routes: routes.collect(), unmatched: count(OTHER, OTHER, "4xx") }
    }

    /// Notes an answer to a request of the route in this row of the table, if it is one of any.
    pub fn answered(
        &self,
        row: Option<usize>,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let Some(route) = row.and_then(|row| self.routes.get(row)) else {
            self.unmatched.inc();
            return;
        };
        let Some((_, counters)) = route.methods.iter().find(|(known, _)| known == method) else {
            route.other.inc();
            return;
        };
        let class = CLASSES.iter().position(|(class, _)| *class == status.as_u16() / 100);
        if let Some(class) = class {
            counters[class].inc();
        }
        route.duration.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_their_route() {
        let mut registry = Registry::default();
        let requests = Requests::register(&mut registry);
        let ask = |method, path, status| {
            let row = route::row(&method, path);
            requests.answered(row, &method, status, Duration::from_millis(3));
        };
        ask(Method::GET, "/api/cameras/front-door", StatusCode::OK);
        ask(Method::GET, "/api/cameras/garage", StatusCode::NOT_FOUND);
        ask(Method::PATCH, "/api/cameras/garage", StatusCode::METHOD_NOT_ALLOWED);
        ask(Method::GET, "/wp-login.php", StatusCode::NOT_FOUND);
        ask(Method::GET, "/streams/front-door/stream.m3u8", StatusCode::OK);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a text");
        let camera = r#"route="/api/cameras/{id}""#;
        let playlist = r#"route="/streams/{id}/stream.m3u8""#;
        for line in [
            &format!(r#"http_requests_total{{{camera},method="GET",status="2xx"}} 1"#),
            &format!(r#"http_requests_total{{{camera},method="GET",status="4xx"}} 1"#),
            &format!(r#"http_requests_total{{{camera},method="GET",status="5xx"}} 0"#),
            &format!(r#"http_requests_total{{{camera},method="other",status="4xx"}} 1"#),
            r#"http_requests_total{route="other",method="other",status="4xx"} 1"#,
            &format!(r#"http_request_duration_seconds_bucket{{le="0.0025",{camera}}} 0"#),
            &format!(r#"http_request_duration_seconds_bucket{{le="0.005",{camera}}} 2"#),
            &format!("http_waiting_request_duration_seconds_count{{{playlist}}} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        for never in ["front-door", "wp-login", "PATCH"] {
            assert!(!text.contains(never), "{text}");
        }
        let quick = format!("http_request_duration_seconds_count{{{playlist}");
        assert!(!text.contains(&format!("\n{quick}")), "{text}");
    }
}
