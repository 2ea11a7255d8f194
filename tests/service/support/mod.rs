//! Starts the processes that a test needs, kills them when the test ends, and waits for conditions.

mod camera;
mod disk;
mod event_stream;
mod events;
pub(crate) mod go2rtc;
mod live_socket;
mod manager;
mod metrics;
mod mjpeg;
mod network;
mod nginx;
mod onvif;
mod openssl;
mod outer_proxy;
mod picture;
mod process;
mod push_server;
mod raw_camera;
mod receiver;
mod recorder;
pub(crate) mod recordings;
mod s3;
mod viewer;
pub(crate) mod whep;

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use camera::{Camera, SilentCamera};
pub(crate) use disk::Disk;
pub(crate) use event_stream::EventStream;
pub(crate) use live_socket::{LiveFrame, LiveMessage, LiveSocket};
pub(crate) use manager::{ApiResponse, Manager};
pub(crate) use metrics::Metrics;
pub(crate) use mjpeg::{LivePicture, Multipart, PictureMessage, PictureSocket};
pub(crate) use network::in_own_network;
pub(crate) use nginx::{Nginx, free_port};
pub(crate) use onvif::OnvifDevice;
pub(crate) use openssl::{certificate, key_pair, openssl, self_signed, tls_acceptor};
pub(crate) use outer_proxy::OuterProxy;
pub(crate) use picture::Jpeg;
pub(crate) use process::{
    Process, children_of, is_running, lines_of, processes_that_show, send_signal,
};
pub(crate) use push_server::{Answer, PushServer};
pub(crate) use raw_camera::RawCamera;
pub(crate) use receiver::{Receiver, Webhook};
pub(crate) use recorder::Recorder;
pub(crate) use s3::{ACCESS_KEY, Mode, Proxy, S3, S3Kind, SECRET_KEY};
pub(crate) use viewer::{Playlist, assert_continuous, has_sound, play, play_slow, probe};

/// The time limit of most waits. It is generous because tests run in parallel on slow machines.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The library that changes the system clock of a process.
pub(crate) const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Returns the root directory of the project.
pub(crate) fn project_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns `object` with the fields of `fields` added. If both have a field, the value from `fields` is used.
pub(crate) fn merged(mut object: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("not an object: {fields}") };
    object.as_object_mut().expect("an object").extend(fields);
    object
}

/// Starts the test camera, a manager with these settings, and nginx in front of the manager.
pub(crate) async fn start_service(settings: &[(&str, &str)]) -> (Camera, Manager, Nginx) {
    let camera = Camera::start().await;
    let manager = Manager::start(settings).await;
    let nginx = Nginx::start(&manager).await;
    (camera, manager, nginx)
}

/// Starts the service as `start_service` does, and streams the camera's `mount` as camera "cam".
pub(crate) async fn start_live(mount: &str, settings: &[(&str, &str)]) -> (Camera, Manager, Nginx) {
    let (camera, manager, nginx) = start_service(settings).await;
    manager.play("cam", &camera.link(mount)).await;
    (camera, manager, nginx)
}

/// Waits until `condition` returns a value, and returns it. Panics after `TIMEOUT`.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out after {TIMEOUT:?} waiting until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until `condition` is true. Panics after `TIMEOUT`.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    eventually(what, || {
        let holds = condition();
        async move { holds.await.then_some(()) }
    })
    .await;
}
