//! `GET /metrics`, for Prometheus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::ACCEPT;
use tokio::time::timeout;

use super::text;
use crate::api::reply::{self, Reply};
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};
use crate::service::readiness::{CHECKS, FailedCheck};

/// The longest wait for the readiness checks. If the checks take longer, their last results are used. Before
/// the first result, all checks count as failed. By default, Prometheus waits only 10 s for all metrics.
const READY_WITHIN: Duration = Duration::from_secs(6);

/// Returns all metrics, as OpenMetrics if the client accepts OpenMetrics, and otherwise in the older text
/// format.
pub(super) async fn get(call: Call<'_>) -> Result<Reply, Error> {
    let api = call.api;
    if call.caller.owner().is_some() {
        let detail = "metrics cover all cameras, and require an API key of role viewer or admin";
        return Err(Error::new(ErrorKind::Forbidden, detail));
    }
    let failed = timeout(READY_WITHIN, api.readiness.failed_checks()).await;
    let failed = failed.ok().or_else(|| api.readiness.last());
    for (check, name) in CHECKS {
        let holds = |failed: &Vec<FailedCheck>| failed.iter().all(|failed| failed.check != check);
        api.metrics.set_ready(name, failed.as_ref().is_some_and(holds));
    }
    let accepted = call.head.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let is_open = accepted.is_some_and(|accepted| accepted.contains("openmetrics-text"));
    let metrics = Arc::clone(&api.metrics);
    // Encoding takes a while if there are many streams.
    let encoded = tokio::task::spawn_blocking(move || {
        let open_metrics = metrics.open_metrics()?;
        Ok(if is_open {
            (text::OPEN_METRICS, open_metrics)
        } else {
            (text::PLAIN, text::plain(&open_metrics)?)
        })
    });
    let failed = |reason: String| {
        Error::new(ErrorKind::Internal, format!("the metrics cannot be encoded: {reason}"))
    };
    match encoded.await {
        Ok(Ok((content_type, text))) => Ok(reply::with_body(StatusCode::OK, content_type, text)),
        Ok(Err(error)) => Err(failed(fmt::Error::to_string(&error))),
        Err(error) => Err(failed(error.to_string())),
    }
}
