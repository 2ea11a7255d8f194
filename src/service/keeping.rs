//! Ensures that the main streams of cameras with `keep: always` are running.
//!
//! The registry holds the set of kept streams, and the supervisors of these streams retry cameras that fail.
//! This module maintains the set, and starts kept streams that are not running: at the start of the manager,
//! when the option is switched on, after a refused start (for example because of `MAX_STREAMS`), and after an
//! internal error has ended the stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, warn};

use super::core::Core;
use crate::base::backoff::Exponential;
use crate::base::error::Error;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::options::KeepOption;

/// The time between two checks of whether all kept streams run.
const PERIOD: Duration = Duration::from_secs(10);
/// The pauses before the next check if a start was refused, or if the database could not be read.
const RETRIES: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_mins(1) };

/// Starts the main streams of all cameras with `keep: always`, and starts them again if they have ended
/// without a stop. Never returns.
pub(crate) async fn run(core: Arc<Core>) {
    let (mut is_loaded, mut failures) = (false, 0);
    loop {
        let checked = if is_loaded { Ok(()) } else { load(&core).await };
        is_loaded |= checked.is_ok();
        let checked = match checked {
            Ok(()) => start_all(&core).await,
            Err(error) => Err(error),
        };
        let delay = match checked {
            Ok(()) => {
                failures = 0;
                PERIOD
            }
            Err(error) => {
                let delay = RETRIES.delay(failures);
                if failures == 0 {
                    warn!(%error, "cannot ensure that all kept streams run; retrying");
                }
                debug!(%error, retry_in = ?delay, "cannot ensure that all kept streams run");
                failures = failures.saturating_add(1);
                delay
            }
        };
        sleep(delay).await;
    }
}

/// Applies the value of a camera's option `keep`. If the value has just become `always`, starts the camera's
/// main stream. If the start is refused, [`run`] retries it.
pub(super) async fn apply(core: &Core, id: &CameraId, keep: KeepOption) {
    let id = StreamId::new(id.clone(), Profile::Main);
    if core.registry.set_kept(&id, keep == KeepOption::Always)
        && let Err(error) = start(core, &id).await
    {
        warn!(stream = %id, %error, "cannot start the main stream of a camera with keep: always; retrying");
    }
}

/// Adds the streams of all cameras with `keep: always` to the registry's set.
async fn load(core: &Core) -> Result<(), Error> {
    for id in core.cameras.kept().await? {
        core.registry.set_kept(&StreamId::new(id, Profile::Main), true);
    }
    Ok(())
}

/// Starts all kept streams that are not running. After an error, continues with the other streams; returns the
/// first error.
async fn start_all(core: &Core) -> Result<(), Error> {
    let mut result = Ok(());
    for id in core.registry.kept() {
        result = result.and(start(core, &id).await);
    }
    result
}

/// Starts a kept stream if it is not running. If the stream's camera does not have `keep: always` or has been
/// deleted, the option is no reason to keep the stream any more. Such a stream can be in the set, because a start may
/// have added it while the camera was being changed.
pub(super) async fn start(core: &Core, id: &StreamId) -> Result<(), Error> {
    let camera = core.cameras.camera_of(id).await?;
    if camera.as_ref().is_none_or(|camera| camera.keep != KeepOption::Always) {
        core.registry.set_kept(id, false);
    }
    // The stream may be recorded.
    camera.map_or(Ok(()), |camera| core.registry.start_kept(&camera))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Caller;
    use crate::access::credentials::Credentials;
    use crate::camera::source::Source;
    use crate::service::camera_change::{CameraChange, SourceChange};
    use crate::service::testing::{Setup, finder};
    use crate::service::{cameras, streams};
    use crate::stream::output::WantedOutput;

    impl Setup {
        fn admin(&self) -> Caller {
            let shown = Credentials { api_key: Some("boss-secret-0001"), ..Credentials::default() };
            self.core.access.caller(&shown).expect("a key")
        }

        async fn put_with(&self, id: &StreamId, keep: KeepOption) {
            let main = Some(Source::parse("rtsp://cam/a").expect("a link"));
            let source = SourceChange::Links { main, sub: None };
            let change = CameraChange { keep, source, ..CameraChange::default() };
            let put = cameras::put(&self.core, &finder(), &self.admin(), id.camera(), change).await;
            put.expect("a camera");
        }

        /// Adds and starts the kept streams, as at the start of the manager.
        async fn check(&self) {
            load(&self.core).await.expect("a database");
            start_all(&self.core).await.expect("no refusal");
        }
    }

    #[tokio::test]
    async fn the_option_takes_effect_at_once() {
        let setup = Setup::new("boss:admin:boss-secret-0001").await;
        let (core, id) = (&setup.core, StreamId::parse("cam").expect("an id"));
        let runs = || core.registry.get(&id).is_some();
        setup.put_with(&id, KeepOption::OnDemand).await;
        setup.check().await;
        assert!(!runs() && !core.registry.is_kept(&id));

        setup.put_with(&id, KeepOption::Always).await;
        assert!(runs() && core.registry.is_kept(&id));
        setup.put_with(&id, KeepOption::OnDemand).await;
        assert!(runs() && !core.registry.is_kept(&id), "the stream must run until it is idle");
        setup.put_with(&id, KeepOption::Always).await;
        cameras::delete(core, &setup.admin(), id.camera(), false).await.expect("the camera");
        assert!(!runs() && !core.registry.is_kept(&id));
    }

    #[tokio::test]
    async fn a_stopped_stream_is_not_kept_until_its_next_start() {
        let setup = Setup::new("boss:admin:boss-secret-0001").await;
        let (core, id) = (&setup.core, StreamId::parse("cam").expect("an id"));
        setup.put_with(&id, KeepOption::Always).await;
        streams::stop(core, &setup.admin(), &id).await.expect("a stop");
        setup.put_with(&id, KeepOption::Always).await;
        setup.check().await;
        assert!(core.registry.get(&id).is_none(), "the stopped stream was started");

        let output = WantedOutput::Hls;
        streams::start_known(core, &setup.admin(), &id, output, true).await.expect("a start");
        assert!(core.registry.is_kept(&id));
    }

    #[tokio::test]
    async fn a_stream_that_was_kept_by_mistake_is_released() {
        let setup = Setup::new("boss:admin:boss-secret-0001").await;
        let (core, id) = (&setup.core, StreamId::parse("cam").expect("an id"));
        setup.put_with(&id, KeepOption::OnDemand).await;
        core.registry.set_kept(&id, true);
        setup.check().await;
        assert!(core.registry.get(&id).is_none() && !core.registry.is_kept(&id));
    }
}
