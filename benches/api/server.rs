//! Two programs for `bench.mjs`. `serve` is the manager with streams that need no processor time: its
//! ingest publishes a few recorded frames, and nothing afterwards. `reaper` measures how long the
//! manager takes to search all streams for idle ones.
//!
//! ```text
//! api serve FILE     runs the manager; each of its streams publishes the frames in FILE once
//! api reaper COUNT   measures one pass of the reaper over COUNT streams, in microseconds
//! ```

use std::io::{Error, ErrorKind, Result, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use stream_manager::parts::{
    Arrival, Bus, CHILD, Camera, Config, Counters, Demuxer, DiskBudget, Error as StreamError,
    ErrorKind as StreamErrorKind, FrameBudget, Hevc, Hls, Ingest, IngestRequest, Layout, Limits,
    NutReader, Registry, RenditionRequest, RunOutcome, RunningIngest, SegmentPolicy, Source,
    StartQueue, StreamId, StreamOptions, StreamResources, Threads, Transcoder, WantedOutput,
    become_child, reaper, run_with,
};
use tracing_subscriber::EnvFilter;

const REAPER_PASSES: usize = 1000;
/// A time limit that no benchmark reaches.
const FOREVER: Duration = Duration::from_hours(24);

fn main() -> Result<()> {
    // `cargo bench` adds the argument --bench.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|argument| argument == CHILD) {
        // The readiness check starts FFmpeg. To start FFmpeg, the manager first starts this program
        // as a child.
        return Err(become_child(std::env::args_os().skip(2)));
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", file] => runtime.block_on(serve(Path::new(file))),
        ["reaper", count] => {
            let count =
                count.parse().map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
            let _entered = runtime.enter();
            measure_reaper(count)
        }
        // A plain `cargo bench` runs all benchmarks without arguments.
        _ => {
            writeln!(std::io::stdout(), "to run this benchmark: ./deploy/bench api")
        }
    }
}

/// An ingest that publishes the frames of this recording, and ends when it is stopped.
struct Recorded(Arc<[u8]>);

impl Ingest for Recorded {
    fn start(&self, request: IngestRequest) -> RunningIngest {
        let bytes = Arc::clone(&self.0);
        RunningIngest::spawn(|mut stops| async move {
            let mut demuxer = Demuxer::new(request.epoch, false, false, false);
            let arrival = Arrival { at: tokio::time::Instant::now(), wall: SystemTime::now() };
            let mut reader = NutReader::new();
            reader.buffer().extend_from_slice(&bytes);
            while let Ok(Some(item)) = reader.next_item() {
                request.hub.publish(demuxer.video(item, arrival).ok().flatten());
            }
            stops.next().await;
            let error = StreamError::new(StreamErrorKind::SourceUnreachable, "it was stopped");
            RunOutcome::Dropped(error)
        })
    }
}

/// A transcoder that makes nothing, for streams that need no rendition.
struct NoTranscoder;

impl Transcoder for NoTranscoder {
    fn start(&self, _: RenditionRequest) -> RunningIngest {
        RunningIngest::spawn(|mut stops| async move {
            stops.next().await;
            RunOutcome::Dropped(StreamError::new(StreamErrorKind::Stopped, "a stop was requested"))
        })
    }
}

async fn serve(file: &Path) -> Result<()> {
    let config = Config::load().map_err(Error::other)?;
    // The measurement includes the cost of the log.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log_filter))
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    let ingest = Arc::new(Recorded(std::fs::read(file)?.into()));
    run_with(config, |_, _| ingest).await.map_err(|error| Error::other(error.to_string()))
}

/// Measures passes of the reaper, and prints the median and the 99th percentile in microseconds.
fn measure_reaper(count: usize) -> Result<()> {
    let limits = Limits {
        start_timeout: FOREVER,
        stale_timeout: FOREVER,
        stalled_after: FOREVER,
        idle_timeout: FOREVER,
        stop_grace: FOREVER,
        max_viewers: None,
    };
    let policy = SegmentPolicy {
        segment_time: Duration::from_secs(2),
        part_time: Duration::from_millis(100),
        list_size: 5,
    };
    // The ingest publishes nothing, so nothing is written to the layout's directory.
    let layout = Layout::new(std::env::temp_dir());
    // An empty path makes the budget unlimited. Otherwise the reserve for so many streams would
    // exceed the space of any disk.
    let budget = DiskBudget::new(std::path::PathBuf::new(), None);
    let counters = Counters::default();
    let registry = Registry::new(StreamResources {
        output: Arc::new(Hls::new(layout, budget, policy, counters.clone())),
        threads: Threads::start()?,
        limits,
        max_streams: count,
        starts: StartQueue::new(count),
        ingest: Arc::new(Recorded(Arc::new([]))),
        transcoder: Arc::new(NoTranscoder),
        hevc: Hevc::Copy,
        counters,
        frames: FrameBudget::new(u64::MAX),
        events: Bus::default(),
    });
    for number in 0..count {
        let id = StreamId::parse(&format!("camera-{number}")).map_err(io_error)?;
        let source = Source::parse(&format!("rtsp://192.0.2.1/{number}")).map_err(io_error)?;
        let camera = Camera::new(id, source, StreamOptions::default());
        registry.start_soon(camera, WantedOutput::Hls).map_err(io_error)?;
    }
    // The supervisors need some time to process the starts.
    std::thread::sleep(Duration::from_secs(1));
    let mut times: Vec<Duration> = (0..REAPER_PASSES)
        .map(|_| {
            let start = Instant::now();
            reaper::propose(&registry);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let percentile = |percent: usize| times[times.len() * percent / 100].as_micros();
    let (median, p99) = (percentile(50), percentile(99));
    writeln!(std::io::stdout(), "{{\"streams\":{count},\"median\":{median},\"p99\":{p99}}}")
}

fn io_error(error: StreamError) -> Error {
    Error::other(error.detail)
}
