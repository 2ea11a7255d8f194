//! A [`Core`] for tests. Every part is real, except for the ingest and the transcoder.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::core::Core;
use super::export_places::ExportPlaces;
use super::live_places::LivePlaces;
use crate::access::Access;
use crate::access::keys::ApiKeys;
use crate::analysis::shared::Analyses;
use crate::base::counters::Counters;
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::base::tasks::EndedTasks;
use crate::camera::networks::CameraNetworks;
use crate::camera::plan::Hevc;
use crate::camera::source::Source;
use crate::child::spawner::{Bounds, Spawner};
use crate::events::bus::Bus;
use crate::ingest::ffmpeg::args::{Shape, Transcode};
use crate::ingest::rendition::testing::NoTranscoder;
use crate::ingest::{Ingest, IngestRequest, RunOutcome, RunningIngest};
use crate::media::frame::testing;
use crate::media::frame_budget::FrameBudget;
use crate::onvif::finder::Finder;
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::hls::layout::Layout;
use crate::output::hls::output::Hls;
use crate::output::webrtc::opus::OpusEncoders;
use crate::output::webrtc::server::WebRtc;
use crate::pictures::decoder::Decoder;
use crate::pictures::live::Pictures;
use crate::pictures::recorded::RecordedPictures;
use crate::pictures::snapshots::Snapshots;
use crate::playback::Playback;
use crate::push::{Push, PushSettings};
use crate::recordings::h264::H264Converter;
use crate::store::event_log::{EventLimits, WriterEnd};
use crate::store::{Cameras, EventLog};
use crate::stream::limits::Limits;
use crate::stream::registry::Registry;
use crate::stream::resources::StreamResources;
use crate::stream::start_queue::StartQueue;
use crate::stream::threads::Threads;

const LIMITS: Limits = Limits {
    start_timeout: Duration::from_secs(15),
    stale_timeout: Duration::from_mins(10),
    stalled_after: Duration::from_mins(5),
    idle_timeout: Duration::from_mins(10),
    stop_grace: Duration::from_secs(5),
    max_viewers: None,
};
const BOUNDS: Bounds = Bounds { nice: 0, memory: 1 << 30, open_files: 256 };
const SEGMENTS: SegmentPolicy = SegmentPolicy {
    segment_time: Duration::from_secs(2),
    part_time: Duration::from_millis(200),
    list_size: 5,
};

/// A [`Core`] that writes to a temporary directory.
pub(crate) struct Setup {
    pub(crate) core: Arc<Core>,
    dir: TempDir,
    /// The sources for which the ingest was started, the oldest first.
    opened: Arc<Mutex<Vec<Source>>>,
    /// Stores events until it is dropped.
    _writer: WriterEnd,
}

impl Setup {
    /// Creates a core with these API keys.
    pub(crate) async fn new(keys: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let root = dir.path().join("streams");
        let url = format!("sqlite:{}", dir.path().join("cameras.db").display());
        let cameras = Cameras::open(&url, None).await.expect("a camera store");
        let database = cameras.database().clone();
        let playback = Playback::open(database, &[7; 32], None, 30).await.expect("sessions");
        let (settings, clock) = (PushSettings::default(), Arc::new(SystemTime::now));
        let (database, sealer) = (cameras.database(), cameras.sealer());
        let push = Push::open(database, sealer, settings, clock, |_| true).await;
        let push = push.expect("push notifications");
        let (counters, opened) = (Counters::default(), Arc::default());
        let budget = DiskBudget::new(root.clone(), None);
        let hls = Hls::new(Layout::new(root), budget, SEGMENTS, counters.clone());
        let (bus, journal) = Bus::with_journal();
        let limits = EventLimits { keep: Duration::from_hours(24), max: 1000 };
        let (database, ended) = (cameras.database().clone(), EndedTasks::default());
        let events = EventLog::start(database, bus.clone(), journal, limits, &ended).await;
        let (events, writer) = events.expect("the log of events");
        let registry = Registry::new(StreamResources {
            output: Arc::new(hls.clone()),
            threads: Threads::here(),
            limits: LIMITS,
            max_streams: 10,
            starts: StartQueue::new(10),
            ingest: Arc::new(FakeIngest { opened: Arc::clone(&opened) }),
            transcoder: Arc::new(NoTranscoder),
            hevc: Hevc::Copy,
            frames: FrameBudget::new(u64::MAX),
            counters,
            events: bus.clone(),
        });
        let access = Access::new(ApiKeys::parse(keys).expect("keys"));
        let spawner = Spawner::start(BOUNDS, &[]).expect("a thread");
        let decoder = Decoder::new("ffmpeg".into(), spawner.clone());
        let counters = registry.resources().counters.clone();
        let pictures = Pictures::new(decoder.clone(), counters.clone());
        let recorded_pictures = RecordedPictures::new(decoder.clone());
        let snapshots = Snapshots::new(decoder, counters);
        let transcode =
            Transcode { preset: "veryfast".into(), max_height: 1080, max_bit_rate: 4000 };
        let shape = Shape { segment_time: Duration::from_secs(2), transcode };
        Self {
            core: Arc::new(Core {
                webrtc: WebRtc::off(),
                opus: OpusEncoders::new("ffmpeg".into(), spawner.clone()),
                access,
                cameras,
                registry,
                hls,
                snapshots,
                recorded_pictures,
                h264_converter: H264Converter::new("ffmpeg".into(), shape, spawner),
                pictures,
                analyses: Analyses::default(),
                events,
                recorder: None,
                offsite: None,
                playback,
                push,
                live_places: LivePlaces::default(),
                export_places: ExportPlaces::default(),
                reachability: None,
            }),
            dir,
            opened,
            _writer: writer,
        }
    }

    /// Returns the core and its directory, which must exist for as long as the core is used.
    pub(crate) fn into_parts(self) -> (Arc<Core>, TempDir) {
        (self.core, self.dir)
    }

    /// Returns the sources for which the ingest was started, the oldest first, without their
    /// secrets.
    pub(crate) fn opened(&self) -> Vec<String> {
        lock(&self.opened).iter().map(Source::to_string).collect()
    }
}

/// Returns a finder of devices that permits all addresses.
pub(crate) fn finder() -> Finder {
    Finder::new(CameraNetworks::default())
}

/// An ingest that publishes one second of video, and then waits until it is stopped. If the link contains
/// `wrong`, the ingest refuses the start instead.
struct FakeIngest {
    opened: Arc<Mutex<Vec<Source>>>,
}

impl Ingest for FakeIngest {
    fn start(&self, request: IngestRequest) -> RunningIngest {
        lock(&self.opened).push(request.source.clone());
        RunningIngest::spawn(|mut stops| async move {
            if request.source.expose().contains("wrong") {
                return RunOutcome::Refused(Error::new(
                    ErrorKind::SourceNotFound,
                    "no such stream",
                ));
            }
            let format = testing::format(request.epoch);
            request.hub.publish((0..5).map(|n| testing::video(&format, n == 0, n * 200, 200)));
            stops.next().await;
            RunOutcome::Dropped(Error::new(ErrorKind::SourceUnreachable, "the ingest was stopped"))
        })
    }
}
