//! Health for back ends and orchestrators: is the process there, can it do its work.

use super::Api;
use super::model::{HealthOutput, ProbeOutput};
use super::reply::{self, Reply};

/// `GET /api/health`.
pub fn health(api: &Api) -> Reply {
    reply::json(&HealthOutput {
        status: if api.readiness.is_closing() { "shutting_down" } else { "healthy" },
        active_streams: api.registry.active(),
        uptime_seconds: api.started_at.elapsed().as_secs_f64().round(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// `GET /livez`: the process answers.
pub fn live() -> Reply {
    reply::json(&ProbeOutput { status: "alive" })
}

/// `GET /readyz`: FFmpeg runs, `STREAM_DIR` and the database can be written, and the manager is not
/// ending; or all that is wrong.
pub async fn ready(api: &Api) -> Reply {
    let troubles = api.readiness.troubles().await;
    if troubles.is_empty() {
        return reply::json(&ProbeOutput { status: "ready" });
    }
    reply::not_ready(&troubles)
}
