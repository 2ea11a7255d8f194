//! The manager with streams that need no processor time, for `bench.mjs`. Only the ingest is replaced:
//! it publishes a few recorded fragments, and then nothing more.
//!
//! ```text
//! api serve FILE     runs the manager with the fragments in FILE and the usual settings
//! api reaper COUNT   measures one pass of the reaper over COUNT streams, in microseconds
//! ```

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stream_manager::app;
use stream_manager::base::counters::Counters;
use stream_manager::base::error::{Error as StreamError, ErrorKind as StreamErrorKind};
use stream_manager::camera::Camera;
use stream_manager::camera::id::StreamId;
use stream_manager::camera::options::StreamOptions;
use stream_manager::camera::source::Source;
use stream_manager::child::spawner;
use stream_manager::config::Config;
use stream_manager::events::bus::Bus;
use stream_manager::ingest::{Ingest, IngestRequest, RunOutcome, RunningIngest};
use stream_manager::media::reader::FragmentReader;
use stream_manager::output::disk_budget::DiskBudget;
use stream_manager::output::hls::cutter::SegmentPolicy;
use stream_manager::output::hls::layout::Layout;
use stream_manager::output::hls::output::Hls;
use stream_manager::stream::limits::Limits;
use stream_manager::stream::reaper;
use stream_manager::stream::registry::Registry;
use stream_manager::stream::resources::StreamResources;
use stream_manager::stream::start_queue::StartQueue;
use stream_manager::stream::threads::Threads;
use tokio::sync::{mpsc, oneshot};
use tracing_subscriber::EnvFilter;

const REAPER_PASSES: usize = 1000;
/// Longer than any benchmark.
const FOREVER: Duration = Duration::from_hours(24);

fn main() -> Result<()> {
    // `cargo bench` adds the argument --bench.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|argument| argument == spawner::CHILD) {
        // The readiness check starts FFmpeg, and the manager starts FFmpeg through itself.
        return Err(spawner::become_child(std::env::args_os().skip(2)));
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
            println!("to run this benchmark: ./deploy/bench api");
            Ok(())
        }
    }
}

/// An ingest that publishes recorded fragments, and ends when it gets a signal.
struct Recorded(Arc<[u8]>);

impl Ingest for Recorded {
    fn start(&self, request: IngestRequest) -> RunningIngest {
        let (signals, mut received_signals) = mpsc::channel(4);
        let (end, ended) = oneshot::channel();
        let bytes = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut reader = FragmentReader::new(&bytes[..], request.generation);
            while let Ok(Some(fragment)) = reader.next().await {
                request.hub.publish(fragment);
            }
            received_signals.recv().await;
            let error = StreamError::new(StreamErrorKind::SourceUnreachable, "a signal arrived");
            let _ = end.send(RunOutcome::Dropped(error));
        });
        RunningIngest { ended, signals }
    }
}

async fn serve(file: &Path) -> Result<()> {
    let config = Config::load().map_err(Error::other)?;
    // The manager writes a log, so its cost belongs to the measurement.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log_filter))
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    let ingest = Arc::new(Recorded(std::fs::read(file)?.into()));
    app::run_with(config, |_, _| ingest).await.map_err(|error| Error::other(error.to_string()))
}

/// Measures the reaper, and prints the median and the 99th percentile.
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
    // The empty path has no disk, because so many streams would exceed the budget of any disk.
    let budget = DiskBudget::new(std::path::PathBuf::new(), None);
    let counters = Counters::default();
    let registry = Registry::new(StreamResources {
        output: Arc::new(Hls::new(layout, budget, policy, counters.clone())),
        threads: Threads::start()?,
        limits,
        max_streams: count,
        starts: StartQueue::new(count),
        ingest: Arc::new(Recorded(Arc::new([]))),
        counters,
        events: Bus::default(),
    });
    for number in 0..count {
        let id = StreamId::parse(&format!("camera-{number}")).map_err(io_error)?;
        let source = Source::parse(&format!("rtsp://192.0.2.1/{number}")).map_err(io_error)?;
        registry.start_soon(Camera::new(id, source, StreamOptions::default())).map_err(io_error)?;
    }
    // The supervisors need some time to process their starts.
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
    println!("{{\"streams\":{count},\"median\":{},\"p99\":{}}}", percentile(50), percentile(99));
    Ok(())
}

fn io_error(error: StreamError) -> Error {
    Error::other(error.detail)
}
