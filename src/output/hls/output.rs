//! The HLS output: a packager for each stream with HLS, and access to the playlists of all these streams.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{oneshot, watch};
use tracing::warn;

use crate::base::counters::Counters;
use crate::base::error::Error;
use crate::camera::id::StreamId;
use crate::camera::numbers::Numbers;
use crate::camera::origin::Origin;
use crate::media::frame::Frame;
use crate::media::hub::Gap;
use crate::output::blocking::on_thread;
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::hls::ended::{EndedStream, EndedStreams};
use crate::output::hls::fragment::Fragment;
use crate::output::hls::fragmenter::Fragmenter;
use crate::output::hls::layout::Layout;
use crate::output::hls::packager::Packager;
use crate::output::hls::published::{PlaylistReceiver, Published};
use crate::output::hls::sweep::LeftStream;
use crate::stream::output::{Output, OutputControl, OutputProgress, OutputRequest, OutputTask};
use crate::stream::playable::PlayableReader;

/// The largest number of bytes of frames by which the packager can be behind. The hub also limits the time.
const MAX_BEHIND: usize = 16 * 1024 * 1024;

/// The longest wait of a blocking playlist request, in target durations.
const BLOCKED_TARGETS: u32 = 3;

/// The HLS output. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layout: Layout,
    budget: DiskBudget,
    policy: SegmentPolicy,
    counters: Counters,
    playlists: Playlists,
    ended: EndedStreams,
}

/// The playlists of the streams that are served.
type Playlists = Arc<DashMap<StreamId, PlaylistReceiver>>;

impl Hls {
    /// Creates an output that writes to `layout` within `budget`.
    pub fn new(
        layout: Layout,
        budget: DiskBudget,
        policy: SegmentPolicy,
        counters: Counters,
    ) -> Self {
        let playlists = Playlists::default();
        let ended = EndedStreams::default();
        Self(Arc::new(Inner { layout, budget, policy, counters, playlists, ended }))
    }

    /// Keeps the files that an earlier manager has left behind, so that the playlists can continue. Must be called
    /// within a runtime.
    pub(crate) fn keep(&self, left: Vec<LeftStream>) {
        for LeftStream { id, kept, .. } in left {
            let Some((continuation, age)) = kept else { continue };
            let dir = self.0.layout.stream_dir(&id);
            let share = self.0.budget.share_of(continuation.bytes());
            self.0.ended.keep(id, EndedStream { continuation, dir, share }, age);
        }
    }

    /// Removes the files of a stream whose HLS has ended, so that its playlist does not continue. Must be called if
    /// the stream's camera is changed or deleted.
    pub(crate) async fn forget(&self, id: &StreamId) {
        self.0.ended.remove(id).await;
    }

    /// Returns the origin of the files of a stream whose HLS has ended; `None` if there are no such files.
    pub(crate) fn left_origin(&self, id: &StreamId) -> Option<Origin> {
        self.0.ended.origin(id)
    }

    /// Returns the receiver of a stream's playlists; `None` if the stream is not served.
    pub(crate) fn playlist(&self, id: &StreamId) -> Option<PlaylistReceiver> {
        self.0.playlists.get(id).map(|playlist| playlist.value().clone())
    }

    /// Returns a stream's newest playlists; `None` if there are none yet or the stream is not served.
    pub(crate) fn newest(&self, id: &StreamId) -> Option<Arc<Published>> {
        self.0.playlists.get(id)?.borrow().clone()
    }

    /// Returns the longest time that a blocking request for the next version of `playlists` waits. This time covers
    /// several segments, because a stream may be interrupted for a moment.
    pub(crate) fn reload_timeout(&self, playlists: Option<&Published>) -> Duration {
        let target = playlists.map(Published::target_duration);
        target.unwrap_or(self.0.policy.segment_time) * BLOCKED_TARGETS
    }
}

impl Output for Hls {
    fn ensure_ready(&self) -> Result<(), Error> {
        self.0.budget.ensure_space()
    }

    fn serve(&self, request: OutputRequest, control: OutputControl) -> OutputTask {
        let OutputRequest { id, media, numbers, origin } = request;
        let OutputControl { progress, end } = control;
        let (dir, share) = (self.0.layout.stream_dir(&id), self.0.budget.share());
        let packager = Packager::new(dir, share, self.0.policy, numbers.next(), origin);
        let listed = Listed::new(&self.0.playlists, id.clone(), packager.newest());
        let can_block = packager.can_block();
        let frames = media.read(MAX_BEHIND);
        let mut fragmenter = Fragmenter::new(self.0.policy.part_time);
        let (counters, ended) = (self.0.counters.clone(), self.0.ended.clone());
        Box::pin(async move {
            let mut packager = packager;
            if let Some(before) = ended.claim(&id).await {
                let continue_from = move |mut packager: Packager| {
                    let end = packager.continue_from(before);
                    (packager, end)
                };
                let continued = on_thread(packager, can_block, continue_from).await;
                let Some((continued, end)) = continued else { return };
                packager = continued;
                if let Some(end) = end {
                    fragmenter.continue_from(end);
                }
            }
            let session = Session { packager, progress, numbers, counters };
            let session = package(session, fragmenter, frames, can_block, end).await;
            // From now on, the stream has no playlist, so a player that returns starts HLS again.
            drop(listed);
            let Some(session) = session else { return };
            match on_thread(session, can_block, |session| session.packager.end()).await {
                Some(Ok(Some(left))) => {
                    let age = left.continuation.age();
                    ended.keep(id, left, age);
                }
                Some(Err(error)) => {
                    warn!(%error, "HLS has ended, and its files cannot be kept; the next HLS of the stream begins a new playlist");
                }
                Some(Ok(None)) | None => {}
            }
        })
    }
}

/// Packages frames until the stream has ended, or `end` is sent or dropped. Returns `None` if the packager
/// panics on a thread for blocking work.
///
/// If writing can block, each fragment is written on one of tokio's blocking threads, so that a disk that
/// hangs delays only this stream. Writing to memory is done on the calling task, which costs less than handing
/// the work to another thread. Frames are always joined into fragments on the calling task.
async fn package(
    mut session: Session,
    mut fragmenter: Fragmenter,
    mut frames: PlayableReader,
    can_block: bool,
    mut end: oneshot::Receiver<()>,
) -> Option<Session> {
    loop {
        let next = tokio::select! {
            next = frames.next() => next.transpose(),
            _ = &mut end => None,
        };
        let Some(next) = next else { return Some(session) };
        let work = join(&mut fragmenter, &session.packager, next);
        if !work.is_empty() {
            let write = move |mut session: Session| {
                session.take(&work);
                session
            };
            session = on_thread(session, can_block, write).await?;
        }
    }
}

/// The packager's work after one frame or gap: a gap to report, and fragments to write.
#[derive(Default)]
struct Work {
    missed: Option<Gap>,
    fragments: Vec<Fragment>,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.missed.is_none() && self.fragments.is_empty()
    }
}

fn join(fragmenter: &mut Fragmenter, packager: &Packager, next: Result<Arc<Frame>, Gap>) -> Work {
    let mut work = Work::default();
    match next {
        Ok(frame) => {
            let ends_segment = |last_part| packager.ends_segment_before_keyframe(last_part);
            if let Err(error) = fragmenter.push(&frame, &ends_segment, &mut work.fragments) {
                warn!(%error, "cannot package frames; leaving them out");
                fragmenter.clear();
            }
        }
        Err(gap) => {
            fragmenter.clear();
            work.missed = Some(gap);
        }
    }
    work
}

/// A stream's packager, and the recipients of its reports.
struct Session {
    packager: Packager,
    progress: watch::Sender<OutputProgress>,
    numbers: Numbers,
    counters: Counters,
}

impl Session {
    fn take(&mut self, work: &Work) {
        if let Some(Gap(missed)) = work.missed {
            self.counters.skipped(missed);
            warn!(missed, "skipped frames, because writing segments is slower than the camera");
            self.packager.interrupt();
        }
        for fragment in &work.fragments {
            if self.packager.push(fragment) {
                self.counters.packaged(fragment.size());
            }
        }
        self.packager.record_numbers(&self.numbers);
        self.progress.send_if_modified(|progress| {
            let is_changed = progress != self.packager.progress();
            progress.clone_from(self.packager.progress());
            is_changed
        });
    }
}

/// A stream's entry in the map of playlists. Dropping it removes the entry.
struct Listed {
    playlists: Playlists,
    id: StreamId,
    playlist: PlaylistReceiver,
}

impl Listed {
    fn new(playlists: &Playlists, id: StreamId, playlist: PlaylistReceiver) -> Self {
        playlists.insert(id.clone(), playlist.clone());
        Self { playlists: Arc::clone(playlists), id, playlist }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // If this output has hung, a newer output of the same stream may have replaced the entry already.
        self.playlists.remove_if(&self.id, |_, listed| listed.same_channel(&self.playlist));
    }
}
