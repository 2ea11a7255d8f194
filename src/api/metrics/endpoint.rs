//! `GET /metrics`, for a Prometheus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::ACCEPT;
use hyper::{Request, StatusCode};
use tokio::time::timeout;

use crate::access::Caller;
use crate::api::Api;
use crate::api::metrics::text;
use crate::api::reply::{self, Reply};
use crate::base::error::{Error, ErrorKind};
use crate::service::readiness::{CHECKS, Trouble};

/// Readiness that is not known within this time is what it was last. Prometheus waits 10 s by default.
const READY_WITHIN: Duration = Duration::from_secs(6);

/// All metrics: in OpenMetrics for those who ask for it, else in the older form.
pub async fn get<B>(api: &Api, caller: &Caller, request: &Request<B>) -> Result<Reply, Error> {
    if caller.owner().is_some() {
        let detail = "metrics are about all cameras; an API key of role viewer or admin is needed";
        return Err(Error::new(ErrorKind::Forbidden, detail));
    }
    let troubles = timeout(READY_WITHIN, api.readiness.troubles()).await;
    let troubles = troubles.ok().or_else(|| api.readiness.last());
    for (check, name) in CHECKS {
        let is_well =
            |troubles: &Vec<Trouble>| troubles.iter().all(|trouble| trouble.check != check);
        api.metrics.set_ready(name, troubles.as_ref().is_some_and(is_well));
    }
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let is_open = accepted.is_some_and(|accepted| accepted.contains("openmetrics-text"));
    let metrics = Arc::clone(&api.metrics);
    // With many streams it takes a while.
    let encoded = tokio::task::spawn_blocking(move || {
        let open_metrics = metrics.open_metrics()?;
        Ok(if is_open {
            (text::OPEN_METRICS, open_metrics)
        } else {
            (text::PLAIN, text::plain(&open_metrics)?)
        })
    });
    let failed = |reason: String| Error::new(ErrorKind::Internal, format!("no metrics: {reason}"));
    match encoded.await {
        Ok(Ok((content_type, text))) => Ok(reply::with_body(StatusCode::OK, content_type, text)),
        Ok(Err(error)) => Err(failed(fmt::Error::to_string(&error))),
        Err(error) => Err(failed(error.to_string())),
    }
}
