//! The streams whose HLS has ended a short time ago. Their files are kept for [`MAX_PAUSE`], so that the playlist can
//! continue if HLS begins again.
//!
//! A task for each of these streams owns the files. It hands them over to the stream's next HLS, or removes them.
//! The next HLS writes its first file only after that. If another stream needs the disk space, the files are removed
//! earlier. They are also removed if the stream's camera changes. Until they are removed, the stream's entry stays in
//! [`EndedStreams`], so that the next HLS waits.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
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

/// The origin of a stream's files, and the sender with which the next HLS claims them.
type Kept = (Origin, oneshot::Sender<Claim>);

/// The claim of the next HLS: the sender through which it gets the files.
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
        let streams = self.clone();
        let keep = async move {
            // The files are unclaimed if the next HLS has ended before it got them.
            if let Some(unclaimed) = keep(stream, claimed, MAX_PAUSE.saturating_sub(age)).await {
                streams.remove_unclaimed(&id, unclaimed).await;
            }
            streams.drop_closed(&id);
        };
        tokio::spawn(keep.in_current_span());
    }

    /// Removes the files of a stream whose HLS has ended, if there are any, and waits until this is done. Dropping the
    /// future does not interrupt the removal. The next HLS waits until the files are removed.
    pub(super) async fn remove(&self, id: &StreamId) {
        let (streams, id) = (self.clone(), id.clone());
        let remove = async move {
            let (placeholder, removing) = oneshot::channel();
            let replaced = streams.0.get_mut(&id).map(|mut kept| {
                let (_, claim) = kept.value_mut();
                std::mem::replace(claim, placeholder)
            });
            if let Some(claim) = replaced
                && let Some(stream) = hand_over(claim).await
            {
                stream.remove().await;
            }
            drop(removing);
            streams.drop_closed(&id);
        };
        let removed = tokio::spawn(remove.in_current_span()).await;
        if let Err(error) = removed {
            warn!(%error, "the removal of a stream's files has failed");
        }
    }

    /// Removes the files of a stream whose claim was withdrawn. Does nothing if a later run of the stream has left
    /// files in the same directory.
    async fn remove_unclaimed(&self, id: &StreamId, stream: EndedStream) {
        let (placeholder, removing) = oneshot::channel();
        match self.0.entry(id.clone()) {
            Entry::Occupied(_) => return,
            Entry::Vacant(vacant) => {
                vacant.insert((stream.continuation.origin, placeholder));
            }
        }
        stream.remove().await;
        drop(removing);
    }

    /// Removes the entry of a stream whose files are removed or handed over.
    fn drop_closed(&self, id: &StreamId) {
        self.0.remove_if(id, |_, (_, claim)| claim.is_closed());
    }

    /// Returns the origin of the files of a stream whose HLS has ended; `None` if there are no such files.
    pub(super) fn origin(&self, id: &StreamId) -> Option<Origin> {
        self.0.get(id).map(|kept| kept.0)
    }

    /// Returns the files of a stream whose HLS has ended; `None` if they do not exist any more.
    pub(super) async fn claim(&self, id: &StreamId) -> Option<EndedStream> {
        let (_, (_, claim)) = self.0.remove(id)?;
        hand_over(claim).await
    }
}

/// Claims the files of a stream, and returns them. If they are being removed, waits until this is done, and returns
/// `None`.
async fn hand_over(claim: oneshot::Sender<Claim>) -> Option<EndedStream> {
    let (send, handed_over) = oneshot::channel();
    // A task that removes the files holds the receiver, and so this sender, until the files are removed.
    claim.send(send).ok()?;
    handed_over.await.ok()
}

/// Waits until the stream is claimed, and hands it over. If this takes longer than `time`, or if its disk space is
/// needed, removes the stream's files. Returns the stream if its claim was withdrawn.
async fn keep(
    mut stream: EndedStream,
    mut claimed: oneshot::Receiver<Claim>,
    time: Duration,
) -> Option<EndedStream> {
    stream.share.make_reclaimable();
    let budget = stream.share.budget().clone();
    tokio::select! {
        claim = &mut claimed => {
            // If the sender was dropped without a claim, a later run of the same stream owns the files.
            let claim = claim.ok()?;
            stream.share.make_permanent();
            return claim.send(stream).err();
        }
        () = tokio::time::sleep(time) => {}
        () = budget.reclaimed() => {}
    }
    stream.remove().await;
    None
}
