//! The HTTP edge: from requests to calls on the parts, and from results to answers.
//!
//! | Module | Does |
//! |---|---|
//! | [`server`] | accepts connections, within limits, and drains them |
//! | [`route`] | which path and method is which request |
//! | [`model`] | what goes over the wire |
//! | [`reply`] | answers, and the one map from error kinds to HTTP status |
//! | [`streams`], [`playlist`], [`viewer`], [`health`] | the requests themselves |
//!
//! No request may take for ever, no body may be large, and none of it knows FFmpeg or files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{Method, Request};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::error::{Error, ErrorKind};
use crate::hls::layout::Layout;
use crate::store::Cameras;
use crate::stream::registry::Registry;
use health::Readiness;
use reply::Reply;
use route::{Route, Unmatched};

pub mod health;
pub mod model;
pub mod playlist;
pub mod reply;
pub mod route;
pub mod server;
pub mod streams;
pub mod viewer;

/// What requests work on.
pub struct Api {
    /// The running streams.
    pub registry: Registry,
    /// The known cameras.
    pub cameras: Cameras,
    /// Where playlists lie.
    pub layout: Layout,
    /// Whether the service can do its work.
    pub readiness: Readiness,
    /// When the manager started.
    pub started_at: Instant,
}

impl Api {
    /// No request takes longer. A start that waits for another stream's end is the slowest.
    fn request_timeout(&self) -> Duration {
        let limits = self.registry.limits();
        limits.stop_grace + limits.start_timeout + Duration::from_secs(15)
    }
}

/// Answers one request. Every failure becomes an answer.
pub async fn serve(api: Arc<Api>, request: Request<Incoming>) -> Reply {
    let began = Instant::now();
    // The query can hold a camera's password; the path cannot.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let reply = match route::find(&method, &path) {
        Ok(route) => {
            let served = timeout(api.request_timeout(), dispatch(&api, route, request)).await;
            let too_slow =
                || Err(Error::new(ErrorKind::RequestTimeout, "the request took too long"));
            served.unwrap_or_else(|_| too_slow()).unwrap_or_else(|error| reply::problem(&error))
        }
        Err(Unmatched::Path) => {
            reply::problem(&Error::new(ErrorKind::NotFound, format!("there is nothing at {path}")))
        }
        Err(Unmatched::Method(allowed)) => reply::method_not_allowed(&method, allowed),
    };
    let status = reply.status().as_u16();
    let millis = began.elapsed().as_millis();
    if status >= 500 && !path.ends_with("/readyz") {
        warn!(%method, path, status, millis, "request failed");
    } else {
        debug!(%method, path, status, millis, "request");
    }
    reply
}

async fn dispatch(api: &Api, route: Route, request: Request<Incoming>) -> Result<Reply, Error> {
    match route {
        Route::StreamStart => streams::start(api, model::input(request).await?).await,
        Route::StreamStop => streams::stop(api, &model::input(request).await?).await,
        Route::StreamStatus => streams::status(api, &model::input(request).await?),
        Route::Streams => Ok(streams::list(api)),
        Route::Health => Ok(health::health(api)),
        Route::Livez => Ok(health::live()),
        Route::Readyz => health::ready(api).await,
        Route::Viewer => viewer::authorize(api, &request),
        Route::Playlist(id) => playlist::get(api, &id, &request).await,
        Route::Index(id) => playlist::index(api, &id, &request).await,
    }
}

/// Whether a request carries its input in the query.
fn has_query_input(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
