//! Creates a stream: its shared state, its output, and the task of its supervisor.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{Instrument as _, info_span};

use super::Supervisor;
use crate::camera::Camera;
use crate::camera::origin::CurrentOrigin;
use crate::child::log::ProcessLog;
use crate::events::Subject;
use crate::media::hub::FrameHub;
use crate::stream::active_count::ActiveShare;
use crate::stream::background_starts::BackgroundStarts;
use crate::stream::backoff::Backoff;
use crate::stream::deadlines::Deadlines;
use crate::stream::handle::{COMMANDS, Shared, StreamHandle};
use crate::stream::interest::Interests;
use crate::stream::kept::KeptStreams;
use crate::stream::output::WantedOutput;
use crate::stream::output_slot::{OutputMedia, OutputSlot};
use crate::stream::plan_choice::PlanChoice;
use crate::stream::playable::PlayableMedia;
use crate::stream::rendition::Rendition;
use crate::stream::reporter::EventReporter;
use crate::stream::resources::StreamResources;
use crate::stream::run::CurrentRun;
use crate::stream::start_queue::Priority;
use crate::stream::state::State;
use crate::stream::status::StatusPublisher;
use crate::stream::transition_metrics::TransitionMetrics;
use crate::stream::trial::TrialLimit;
use crate::stream::viewers::Viewers;
use crate::stream::waiters::Waiters;

/// Starts a new stream, and returns its handle. `priority` is the priority of the stream's first run. Also starts
/// the output if it is `wanted`. Calls `on_gone` with this handle once the stream's child and output have ended, or
/// if the supervisor panics.
pub(in crate::stream) fn spawn(
    camera: Camera,
    resources: &StreamResources,
    (active, kept): (ActiveShare, KeptStreams),
    (priority, wanted): (Priority, WantedOutput),
    on_gone: impl Fn(&StreamHandle) + Send + Sync + 'static,
) -> StreamHandle {
    let span = info_span!("stream", camera = %camera.id);
    let thread = resources.threads.pick();
    let first_epoch = camera.numbers.next().epoch;
    let limits = resources.limits;
    let (hub, process_log) = (FrameHub::new(&resources.frames), Arc::<ProcessLog>::default());
    let transcoder = Arc::clone(&resources.transcoder);
    let rendition =
        Rendition::new(transcoder, hub.clone(), resources.frames.clone(), Arc::clone(&process_log));
    let shared = Arc::new(Shared {
        id: camera.id.clone(),
        interests: Arc::new(Interests::new(wanted)),
        viewers: Viewers::new(limits.max_viewers),
        media: PlayableMedia::new(hub.clone(), rendition, resources.hevc),
        hub,
        process_log,
        trials: TrialLimit::of_one_stream(),
        background_starts: BackgroundStarts::default(),
    });
    let (send_command, commands) = mpsc::channel(COMMANDS);
    let media = OutputMedia {
        id: camera.id.clone(),
        media: shared.media.clone(),
        numbers: camera.numbers.clone(),
        origin: CurrentOrigin::new(camera.origin),
    };
    let mut output = OutputSlot::new(Arc::clone(&resources.output), media, thread, span.clone());
    if wanted == WantedOutput::Hls {
        output.start();
    }
    let (status, status_seen) =
        StatusPublisher::new(camera.clone(), first_epoch, output.status(first_epoch));
    let handle =
        StreamHandle { shared: Arc::clone(&shared), commands: send_command, status: status_seen };
    let supervisor = Supervisor {
        video_epoch: shared.hub.epoch(),
        media_errors: shared.media.errors(),
        shared,
        ingest: Arc::clone(&resources.ingest),
        starts: resources.starts.clone(),
        metrics: TransitionMetrics::new(resources.counters.clone(), &limits),
        reporter: EventReporter::new(
            resources.events.clone(),
            Subject::stream(camera.id.clone(), camera.identity.clone()),
        ),
        deadlines: Deadlines::new(limits),
        limits,
        commands,
        status,
        output,
        camera,
        active,
        kept,
        state: State::Starting,
        run: CurrentRun::None,
        slot: None,
        waiters: Waiters::default(),
        backoff: Backoff::default(),
        plans: PlanChoice::default(),
        replans: 0,
        was_live: false,
        last_live_for: None,
    };
    let gone = handle.clone();
    let on_gone = Arc::new(move || on_gone(&gone));
    let after_panic = CallOnDrop(Arc::clone(&on_gone));
    let supervise = async move {
        // Dropped after the supervisor. Has no effect unless the supervisor has panicked.
        let _after_panic = after_panic;
        supervisor.run(priority, || (*on_gone)()).await;
    };
    thread.spawn(supervise.instrument(span));
    handle
}

/// Calls a function when dropped.
struct CallOnDrop<F: Fn()>(Arc<F>);

impl<F: Fn()> Drop for CallOnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
