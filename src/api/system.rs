//! The service itself: its health and readiness, the caller, and the OpenAPI document.

use std::future;

use hyper::{Method, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;

use super::failures;
use super::openapi;
use super::operation::Operation;
use super::reply::{self, JSON, Reply};
use super::route::{Audience, Call, Row};
use crate::access::rights::{Right, Rights};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    let everyone = Audience::Everyone;
    let viewers = Audience::Callers(Role::Viewer);
    vec![
        Row::new(
            Method::GET,
            "/api/caller",
            viewers,
            |call| Box::pin(future::ready(Ok(caller(&call)))),
            || {
                operation(
                    "getCaller",
                    "Returns the name of the caller's API key, and the caller's role",
                )
                .returns::<CallerOutput>("The caller.")
            },
        ),
        Row::new(
            Method::GET,
            "/api/health",
            everyone,
            |call| Box::pin(future::ready(Ok(health(&call)))),
            || {
                operation("getHealth", "Returns the health of the service, for back ends")
                    .returns::<HealthOutput>("The health.")
            },
        ),
        Row::new(
            Method::GET,
            "/api/openapi.json",
            everyone,
            |call| Box::pin(future::ready(Ok(document(&call)))),
            || {
                operation("getDocument", "Returns this document").returns_other(
                    JSON,
                    Type::Object,
                    "An OpenAPI 3.1 document.",
                )
            },
        ),
        Row::new(
            Method::GET,
            "/livez",
            everyone,
            |call| Box::pin(future::ready(Ok(live(&call)))),
            || {
                operation("getLive", "Reports that the process responds")
                    .returns::<ProbeOutput>("The process responds.")
            },
        ),
        Row::new(
            Method::GET,
            "/readyz",
            everyone,
            |call| Box::pin(ready(call)),
            || {
                operation("getReady", "Reports whether the service is ready")
                    .describe(
                        "The service is ready if FFmpeg can be run, `STREAM_DIR` and the database are \
                         writable and have free space, the manager's long-lived tasks run, and the \
                         manager is not shutting down. Otherwise `problems` lists the checks that failed, and `code` is the code \
                         of the first failed check.",
                    )
                    .returns::<ProbeOutput>("The service is ready.")
                    .fails(failures::DATABASE)
                    .fails(&[
                        ErrorKind::FfmpegUnavailable,
                        ErrorKind::Internal,
                        ErrorKind::ShuttingDown,
                    ])
            },
        ),
    ]
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("service", id, summary)
}

/// The caller of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallerOutput<'a> {
    /// The API key's name; null if the manager has no keys.
    name: Option<&'a str>,
    /// The caller's role; `admin` for every caller if the manager has no keys.
    #[schema(value_type = String, pattern = "^(viewer|user|admin)$")]
    role: Role,
    /// What the caller can watch: `live` for cameras now, `recordings` for what was recorded. A manager without
    /// `RECORDINGS_DIRS` has no recordings.
    #[schema(value_type = Vec<String>)]
    rights: Rights,
}

fn caller(call: &Call<'_>) -> Reply {
    let caller = &call.caller;
    let rights = match call.api.core.recorder {
        Some(_) => caller.rights(),
        None => caller.rights().without(Right::Recordings),
    };
    reply::json(&CallerOutput { name: caller.key(), role: caller.role(), rights })
}

/// The health of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthOutput {
    /// `healthy`, or `shutting_down`.
    status: &'static str,
    /// Number of streams that are starting, running or ending, or that wait to reconnect.
    active_streams: usize,
    /// Seconds since the manager started.
    uptime_seconds: f64,
    /// The program's version.
    version: &'static str,
    /// Whether players can watch over WebRTC.
    webrtc: WebrtcOutput,
}

/// Whether players can watch over WebRTC.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webrtc)]
pub(crate) struct WebrtcOutput {
    /// The port, with UDP and TCP; null if WebRTC is off.
    port: Option<u16>,
    /// The reason why WebRTC is off, or why its viewers get no converted audio, and what to do about it; otherwise null.
    reason: Option<String>,
}

fn health(call: &Call<'_>) -> Reply {
    let api = call.api;
    let (port, reason) = match api.core.webrtc.port() {
        Ok(port) => (Some(port), api.core.opus.problem()),
        Err(reason) => (None, Some(reason)),
    };
    reply::json(&HealthOutput {
        status: if api.readiness.is_closing() { "shutting_down" } else { "healthy" },
        active_streams: api.core.registry.active(),
        uptime_seconds: api.started_at.elapsed().as_secs_f64().round(),
        version: env!("CARGO_PKG_VERSION"),
        webrtc: WebrtcOutput { port, reason },
    })
}

/// Response to a successful probe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProbeOutput {
    /// `alive`, or `ready`.
    status: &'static str,
}

fn live(_: &Call<'_>) -> Reply {
    reply::json(&ProbeOutput { status: "alive" })
}

async fn ready(call: Call<'_>) -> Result<Reply, Error> {
    let failed = call.api.readiness.failed_checks().await;
    if failed.is_empty() {
        return Ok(reply::json(&ProbeOutput { status: "ready" }));
    }
    Ok(reply::not_ready(&failed))
}

fn document(call: &Call<'_>) -> Reply {
    let document = call.api.document.get_or_init(|| openapi::render(call.table).into());
    reply::with_body(StatusCode::OK, JSON, document.clone())
}
