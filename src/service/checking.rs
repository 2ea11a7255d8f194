//! Checks at regular intervals whether the known cameras can be reached, so that a camera that fails is
//! noticed even while no client watches it. A camera with a live stream is not contacted.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::core::Core;
use crate::base::error::Error;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::networks::CameraNetworks;
use crate::reachability::check::{CheckResult, check};
use crate::reachability::monitor::ReachabilityMonitor;
use crate::stream::state::State;

/// The largest number of checks at the same time.
const CONCURRENT_CHECKS: usize = 8;

/// The parts that checks need. Cheap to clone.
#[derive(Clone)]
struct Checker {
    core: Arc<Core>,
    nets: CameraNetworks,
    monitor: Arc<ReachabilityMonitor>,
    permits: Arc<Semaphore>,
}

/// Checks each known camera once in each `interval`, and spreads the checks over the interval. If many
/// cameras do not respond, a round may take longer than the interval. Never returns.
pub(crate) async fn run(
    core: Arc<Core>,
    nets: CameraNetworks,
    monitor: Arc<ReachabilityMonitor>,
    interval: Duration,
) {
    let permits = Arc::new(Semaphore::new(CONCURRENT_CHECKS));
    let checker = Checker { core, nets, monitor, permits };
    // Dropping the set, when the manager shuts down, ends the checks.
    let mut checks = JoinSet::new();
    loop {
        let begun = Instant::now();
        match checker.core.cameras.ids().await {
            Ok(ids) => checker.round(&ids, begun, interval, &mut checks).await,
            Err(error) => warn!(%error, "cannot read the cameras from the database; retrying"),
        }
        sleep_until(begun + interval).await;
    }
}

impl Checker {
    async fn round(
        &self,
        ids: &[CameraId],
        begun: Instant,
        interval: Duration,
        checks: &mut JoinSet<()>,
    ) {
        self.monitor.retain(&ids.iter().cloned().collect::<HashSet<_>>());
        #[expect(clippy::cast_precision_loss, reason = "the number of cameras is small")]
        let spacing = interval.div_f64(ids.len().max(1) as f64);
        let mut next_at = begun;
        for id in ids {
            sleep_until(next_at).await;
            next_at += spacing;
            // The semaphore is never closed.
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
            let (checker, id) = (self.clone(), id.clone());
            checks.spawn(async move {
                if let Err(error) = checker.check(&id).await {
                    debug!(
                        camera = %id,
                        %error,
                        "cannot check the camera, because its record in the database cannot be read"
                    );
                }
                drop(permit);
            });
            while checks.try_join_next().is_some() {}
        }
    }

    async fn check(&self, id: &CameraId) -> Result<(), Error> {
        let Some(record) = self.core.cameras.get(id).await? else { return Ok(()) };
        let source = record.spec.first();
        if self.is_live(id) {
            self.monitor.note_streaming(&record);
            return Ok(());
        }
        match check(source, &self.nets).await {
            CheckResult::Reachable => self.monitor.note(&record, Ok(())),
            // A camera that allows only one connection may have been busy with the start of its stream.
            CheckResult::Unreachable(_) if self.is_live(id) => {
                self.monitor.note_streaming(&record);
            }
            CheckResult::Unreachable(error) => self.monitor.note(&record, Err(error)),
            CheckResult::NotMade(error) => {
                warn!(camera = %id, %error, "cannot check whether the camera is reachable");
            }
        }
        Ok(())
    }

    /// Returns whether a stream of the camera is live.
    fn is_live(&self, id: &CameraId) -> bool {
        [Profile::Main, Profile::Sub].into_iter().any(|profile| {
            let stream = self.core.registry.get(&StreamId::new(id.clone(), profile));
            stream.is_some_and(|stream| stream.state() == State::Live)
        })
    }
}
