//! Starts the parts that a test needs and ends them with it, and waits for conditions.

mod camera;
mod disk;
mod manager;
mod metrics;
mod nginx;
mod onvif;
mod openssl;
mod process;
mod receiver;
mod viewer;

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

pub use camera::Camera;
pub use manager::{Answer, Manager};
pub use metrics::Metrics;
pub use nginx::{Nginx, free_port};
pub use onvif::OnvifDevice;
pub use openssl::{key_pair, openssl};
pub use process::{Process, children_of, is_running, lines_of, processes_that_show};
pub use receiver::{Receiver, Webhook};
pub use viewer::{Playlist, play, probe};

/// Longer than anything takes on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The project's directory.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A camera, a manager with what is `set`, and nginx in front of it.
pub async fn all_parts(set: &[(&str, &str)]) -> (Camera, Manager, Nginx) {
    let camera = Camera::start().await;
    let manager = Manager::start(set).await;
    let nginx = Nginx::start(&manager).await;
    (camera, manager, nginx)
}

/// The same, and the camera's `mount` plays as camera "cam".
pub async fn on_air(mount: &str, set: &[(&str, &str)]) -> (Camera, Manager, Nginx) {
    let (camera, manager, nginx) = all_parts(set).await;
    manager.play("cam", &camera.link(mount)).await;
    (camera, manager, nginx)
}

/// Waits until `condition` yields something. Fails the test when that takes too long.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until `condition` is true.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    eventually(what, || {
        let holds = condition();
        async move { holds.await.then_some(()) }
    })
    .await;
}
