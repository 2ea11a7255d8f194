//! The HTTP edge: from requests to calls on the parts, and from results to answers.
//!
//! | Module | Does |
//! |---|---|
//! | [`server`] | accepts connections, within limits, and drains them |
//! | [`route`] | which path and method is which request |
//! | [`model`], [`camera_model`] | what goes over the wire |
//! | [`reply`] | answers, and the one map from error kinds to HTTP status |
//! | [`openapi`] | the same for programs, made from the types and the table |
//! | [`streams`], [`cameras`], [`discovery`], [`playback`], [`playlist`], [`viewer`], [`caller`], [`health`], [`metrics`] | the requests themselves |
//!
//! No request may take for ever, no body may be large, and none of it knows FFmpeg or files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use hyper::{Method, Request};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::access::{Access, Caller};
use crate::api::metrics::exporter::Exporter;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::ingest::ffmpeg::probe::StillTaker;
use crate::onvif::finder::Finder;
use crate::output::hls::output::Hls;
use crate::playback::Playback;
use crate::service::readiness::Readiness;
use crate::store::Cameras;
use crate::stream::registry::Registry;
use model::{IdInput, ProfileInput, StreamInput};
use reply::Reply;
use route::{Needs, Route, Unmatched};

pub mod caller;
pub mod camera_model;
pub mod cameras;
mod credentials;
pub mod discovery;
pub mod health;
pub mod metrics;
pub mod model;
pub mod openapi;
pub mod playback;
pub mod playlist;
pub mod reply;
pub mod route;
pub mod server;
pub mod streams;
pub mod viewer;

/// What requests work on.
pub struct Api {
    /// Who may do what.
    pub access: Access,
    /// The running streams.
    pub registry: Registry,
    /// The playlists of the streams.
    pub hls: Hls,
    /// The playback sessions.
    pub playback: Playback,
    /// The known cameras.
    pub cameras: Cameras,
    /// Looks for cameras on the network.
    pub finder: Finder,
    /// Takes pictures of cameras that are tested.
    pub stills: StillTaker,
    /// Whether the service can do its work.
    pub readiness: Arc<Readiness>,
    /// What is counted.
    pub metrics: Arc<Exporter>,
    /// When the manager started.
    pub started_at: Instant,
}

impl Api {
    /// No request takes longer. A start that waits for another stream's end is the slowest.
    fn request_timeout(&self) -> Duration {
        self.registry.patience() + Duration::from_secs(13)
    }
}

/// Answers one request. Every failure becomes an answer.
pub async fn serve(api: Arc<Api>, request: Request<Incoming>) -> Reply {
    let began = Instant::now();
    // The query can hold a camera's password; the path cannot.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let reply = match route::find(&method, &path) {
        Ok((route, needs)) => {
            let served = serve_allowed(&api, route, needs, request);
            let served = timeout(api.request_timeout(), served).await;
            let too_slow =
                || Err(Error::new(ErrorKind::RequestTimeout, "the request took too long"));
            served.unwrap_or_else(|_| too_slow()).unwrap_or_else(|error| reply::problem(&error))
        }
        Err(Unmatched::Path) => {
            reply::problem(&Error::new(ErrorKind::NotFound, format!("there is nothing at {path}")))
        }
        Err(Unmatched::Method(allowed)) => reply::method_not_allowed(&method, allowed),
    };
    let took = began.elapsed();
    api.metrics.requests.answered(route::row(&method, &path), &method, reply.status(), took);
    let (status, millis) = (reply.status().as_u16(), took.as_millis());
    // What says when to come again is no fault, and can be many answers.
    let is_fault = status >= 500 && !reply.headers().contains_key(RETRY_AFTER);
    if is_fault && !path.ends_with("/readyz") {
        warn!(%method, path, status, millis, "request failed");
    } else {
        debug!(%method, path, status, millis, "request");
    }
    reply
}

async fn serve_allowed(
    api: &Api,
    route: Route,
    needs: Needs,
    request: Request<Incoming>,
) -> Result<Reply, Error> {
    let caller = match needs.role(request.method()) {
        Some(role) => {
            let (headers, is_cross_site) =
                (request.headers(), credentials::is_cross_site(request.headers()));
            api.access.refuse_other_sites(credentials::host(headers), is_cross_site)?;
            let caller = api.access.caller(&credentials::shown(headers))?;
            caller.at_least(role)?;
            caller
        }
        None => Caller::anonymous(),
    };
    dispatch(api, &caller, route, request).await
}

async fn dispatch(
    api: &Api,
    caller: &Caller,
    route: Route,
    request: Request<Incoming>,
) -> Result<Reply, Error> {
    match route {
        Route::StreamStart => streams::start(api, caller, model::input(request).await?).await,
        Route::StreamStop => {
            let IdInput { indicator_id, profile } = model::input(request).await?;
            streams::stop(api, caller, &stream_id(&indicator_id, profile)?).await
        }
        Route::StreamStatus => {
            let IdInput { indicator_id, profile } = model::input(request).await?;
            streams::status(api, caller, &stream_id(&indicator_id, profile)?).await
        }
        Route::Streams => streams::list(api, caller).await,
        Route::StreamLog(id) => {
            let ProfileInput { profile } = model::input(request).await?;
            streams::log(api, caller, &stream_id(&id, profile)?).await
        }
        Route::Cameras if has_query_input(request.method()) => {
            cameras::list(api, caller, model::input(request).await?).await
        }
        Route::Cameras => cameras::create(api, caller, model::input(request).await?).await,
        Route::CameraTest => cameras::test(api, caller, model::input(request).await?).await,
        Route::Camera(id) => {
            let id = CameraId::parse(&id)?;
            match *request.method() {
                Method::PUT => cameras::put(api, caller, &id, model::input(request).await?).await,
                Method::DELETE => cameras::delete(api, caller, &id).await,
                _ => cameras::get(api, caller, &id).await,
            }
        }
        Route::CameraStart(id) => {
            let StreamInput { profile, wait } = model::input(request).await?;
            streams::start_known(api, caller, &stream_id(&id, profile)?, wait).await
        }
        Route::CameraStop(id) => {
            let StreamInput { profile, .. } = model::input(request).await?;
            streams::stop(api, caller, &stream_id(&id, profile)?).await
        }
        Route::CameraStatus(id) => {
            let StreamInput { profile, .. } = model::input(request).await?;
            streams::status(api, caller, &stream_id(&id, profile)?).await
        }
        Route::CamerasFile if has_query_input(request.method()) => cameras::export(api).await,
        Route::CamerasFile => {
            let cameras = model::input_up_to(model::MAX_IMPORT, request).await?;
            cameras::import(api, caller, cameras).await
        }
        Route::Sessions if has_query_input(request.method()) => Ok(playback::list(api, caller)),
        Route::Sessions => {
            let is_secure = playback::is_secure(request.headers());
            playback::begin(api, caller, model::input(request).await?, is_secure).await
        }
        Route::Session(id) => playback::end(api, caller, &id).await,
        Route::Vendors => Ok(cameras::vendors()),
        Route::Caller => Ok(caller::get(caller)),
        Route::Discovery => discovery::discover(api, caller, model::input(request).await?).await,
        Route::Health => Ok(health::health(api)),
        Route::Document => Ok(openapi::get()),
        Route::Livez => Ok(health::live()),
        Route::Readyz => Ok(health::ready(api).await),
        Route::Metrics => metrics::endpoint::get(api, caller, &request).await,
        Route::Viewer => viewer::authorize(api, &request).await,
        Route::Playlist(id) => playlist::get(api, &id, &request).await,
        Route::Index(id) => playlist::index(api, &id, &request).await,
    }
}

fn stream_id(id: &str, profile: Profile) -> Result<StreamId, Error> {
    Ok(StreamId::new(CameraId::parse(id)?, profile))
}

/// Whether a request carries its input in the query.
fn has_query_input(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
