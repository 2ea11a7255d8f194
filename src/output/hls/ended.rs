//! The streams whose HLS has ended a short time ago. Their files are kept for [`MAX_PAUSE`], so that the playlist can
//! continue if HLS begins again.
//!
//! A task for each of these streams owns the files. It hands them over to the stream's next HLS, or removes them.
//! The next HLS does not write a file before the task has done one of both. If another stream needs the disk space,
//! the files are removed earlier.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::oneshot;
use tracing::{Instrument as _, warn};

use crate::camera::id::StreamId;
use crate::camera::origin::Origin;
use crate::output::blocking::on_thread;
use crate::output::disk_budget::DiskShare;
use crate::output::hls::continuation::{Continuation, MAX_PAUSE};
use crate::output::hls::layout::StreamDir;

/// The streams whose HLS has ended. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct EndedStreams(Arc<DashMap<StreamId, Kept>>);

/// The origin of a stream's files, and the sender to which the next HLS sends its claim.
type Kept = (Origin, oneshot::Sender<Claim>);

/// The sender to which the files of a stream are handed over.
type Claim = oneshot::Sender<EndedStream>;

/// A stream whose HLS has ended.
#[derive(Debug)]
pub(crate) struct EndedStream {
    /// What is needed to continue the playlist.
    pub(super) continuation: Continuation,
    /// The directory with the stream's files.
    pub(super) dir: StreamDir,
    /// The disk space of these files.
    pub(super) share: DiskShare,
}

impl EndedStream {
    /// Removes the stream's files.
    pub(super) async fn remove(self) {
        let can_block = !self.dir.is_in_memory();
        let remove = |stream: Self| {
            let removed = stream.dir.remove();
            stream.share.budget().check();
            removed
        };
        let removed = on_thread(self, can_block, remove).await;
        if let Some(Err(error)) = removed {
            warn!(%error, "cannot remove the stream's directory");
        }
    }
}

impl EndedStreams {
    /// Keeps the files of a stream whose HLS ended `age` ago. Must be called within a runtime.
    pub(super) fn keep(&self, id: StreamId, stream: EndedStream, age: Duration) {
        let (send, claimed) = oneshot::channel();
        self.0.insert(id.clone(), (stream.continuation.origin, send));
        let streams = Arc::clone(&self.0);
        let keep = async move {
            keep(stream, claimed, MAX_PAUSE.saturating_sub(age)).await;
            streams.remove_if(&id, |_, (_, claim)| claim.is_closed());
        };
        tokio::spawn(keep.in_current_span());
    }

    /// Returns the origin of the files of a stream whose HLS has ended; `None` if there are no such files.
    pub(super) fn origin(&self, id: &StreamId) -> Option<Origin> {
        self.0.get(id).map(|kept| kept.0)
    }

    /// Returns the files of a stream whose HLS has ended; `None` if they do not exist any more.
    pub(super) async fn claim(&self, id: &StreamId) -> Option<EndedStream> {
        let (_, (_, claim)) = self.0.remove(id)?;
        let (send, handed_over) = oneshot::channel();
        // If the files are being removed, the sender is dropped when this is done.
        claim.send(send).ok()?;
        handed_over.await.ok()
    }
}

/// Waits until the stream is claimed, and hands it over. If this takes longer than `time`, or if its disk space is
/// needed, removes the stream's files.
async fn keep(mut stream: EndedStream, mut claimed: oneshot::Receiver<Claim>, time: Duration) {
    stream.share.make_reclaimable();
    let budget = stream.share.budget().clone();
    tokio::select! {
        claim = &mut claimed => {
            // Without a claim, the files belong to a later run of the same stream.
            let Ok(claim) = claim else { return };
            stream.share.make_permanent();
            // A stream that has ended before it got the files does not need them.
            if let Err(stream) = claim.send(stream) {
                stream.remove().await;
            }
            return;
        }
        () = tokio::time::sleep(time) => {}
        () = budget.reclaimed() => {}
    }
    stream.remove().await;
}
