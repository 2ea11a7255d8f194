//! Puts the parts together, and is the one place that states the order of shutdown.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::access::Access;
use crate::access::keys::ApiKeys;
use crate::api::Api;
use crate::api::metrics::exporter::Exporter;
use crate::api::readiness::Readiness;
use crate::api::server::Server;
use crate::base::counters::Counters;
use crate::base::proc;
use crate::base::secret::Secret;
use crate::child::spawner::{Bounds, Spawner};
use crate::config::{self, Config};
use crate::ingest::Ingest;
use crate::ingest::ffmpeg::args;
use crate::ingest::ffmpeg::args::{Shape, Transcode};
use crate::ingest::ffmpeg::launcher::FfmpegIngest;
use crate::ingest::ffmpeg::probe::StillTaker;
use crate::ingest::ffmpeg::settings::FfmpegSettings;
use crate::onvif::Finder;
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::hls::layout::Layout;
use crate::output::hls::output::Hls;
use crate::output::hls::sweep;
use crate::playback::Playback;
use crate::store::{self, Cameras};
use crate::stream::limits::Limits;
use crate::stream::reaper;
use crate::stream::registry::Registry;
use crate::stream::resources::StreamResources;
use crate::stream::start_queue::StartQueue;
use crate::stream::threads::Threads;
use crate::webhooks::{WebhookSettings, Webhooks};

/// Requests that are answered when all streams have ended get this long to be sent.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);

/// File descriptors of a stream: FFmpeg's pipes, its process, the segment that grows, and a player
/// who waits for the next part.
const FILES_PER_STREAM: u64 = 6;
/// For the database, other players, and while FFmpegs start.
const FILES_BESIDES: u64 = 256;

/// Why the manager could not start.
#[derive(Debug)]
pub enum StartError {
    /// A setting turned out to be unusable.
    Setting(String),
    /// The system refused something.
    System(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(text) | Self::System(text) => f.write_str(text),
        }
    }
}

/// Runs the manager until SIGTERM or SIGINT. A second signal ends the process at once.
pub async fn run(config: Config) -> Result<(), StartError> {
    run_with(config, |config, spawner| {
        Arc::new(FfmpegIngest::new(ffmpeg_settings(config), shape(config), spawner))
    })
    .await
}

/// Runs the manager with other ingests than FFmpeg, for benchmarks of all the rest.
pub async fn run_with(
    config: Config,
    make_launcher: impl FnOnce(&Config, Spawner) -> Arc<dyn Ingest>,
) -> Result<(), StartError> {
    let layout = Layout::new(config.stream_dir.clone());
    let unusable = |error| {
        StartError::Setting(format!(
            "STREAM_DIR={} cannot be used: {error}",
            layout.root().display()
        ))
    };
    let api_keys = api_keys(&config)?;
    raise_file_limit(config.max_streams);
    let _lock = sweep::lock(&layout).map_err(unusable)?;
    sweep::sweep(&layout).map_err(unusable)?;

    let key = config.source_key.as_ref().map(Secret::expose);
    let cameras = Cameras::open(&config.database_url, key).await;
    let cameras = cameras.map_err(|error| StartError::Setting(error.to_string()))?;
    let playback = open_playback(&config, &cameras).await.map_err(StartError::Setting)?;

    let system = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| StartError::System(format!("{what}: {error}"))
    };
    // Kept to the end: FFmpeg lives no longer than the spawner's thread.
    let spawner = Spawner::start(bounds(&config), &config::variable_names())
        .map_err(system("no thread can be started"))?;
    let launcher = make_launcher(&config, spawner.clone());
    let (webhooks, events) =
        Webhooks::start(&webhook_settings(&config)).map_err(StartError::Setting)?;
    let room = DiskBudget::new(config.stream_dir.clone(), config.stream_dir_max_bytes);
    let counters = Counters::default();
    let hls = Hls::new(layout.clone(), room.clone(), segment_policy(&config), counters.clone());
    let registry = Registry::new(StreamResources {
        output: Arc::new(hls.clone()),
        threads: Threads::start().map_err(system("no thread can be started"))?,
        limits: limits(&config),
        max_streams: config.max_streams,
        starts: StartQueue::new(config.max_concurrent_starts),
        launcher,
        counters,
        events,
    });
    let database = cameras.database().clone();
    let api = Arc::new(Api {
        access: Access::new(api_keys),
        registry: registry.clone(),
        cameras,
        finder: Finder::new(config.camera_nets()),
        stills: StillTaker::new(ffmpeg_settings(&config), spawner.clone()),
        playback,
        readiness: Arc::new(Readiness::new(
            config.ffmpeg_bin.clone(),
            spawner.clone(),
            layout,
            database,
        )),
        metrics: Arc::new(Exporter::new(registry.clone(), room.clone())),
        hls,
        started_at: Instant::now(),
    });
    for problem in api.readiness.troubles().await {
        error!(problem = %problem.error, "not ready; streams cannot start until this is mended");
    }
    let address = SocketAddr::new(config.bind_addr, config.port);
    let mut server = Server::bind(address, Arc::clone(&api))
        .await
        .map_err(system(&format!("BIND_ADDR and PORT {address} cannot be listened on")))?;
    if let Some(path) = &config.bind_socket {
        let told = format!("BIND_SOCKET={} cannot be listened on", path.display());
        server.bind_socket(path).await.map_err(system(&told))?;
    }
    let mut signals = Signals::install().map_err(system("signals cannot be caught"))?;
    info!(address = %server.address().map_err(system("no address"))?, "listening");

    let reaper = tokio::spawn(reaper::run(registry.clone(), config.cleanup_interval));
    let looking = tokio::spawn(room.watch());
    let drain = server.run(signals.first()).await;
    tokio::spawn(async move { signals.second().await });

    // The order of shutdown. First orchestrators are told; no connection is accepted any more.
    api.readiness.close();
    info!("shutting down");
    reaper.abort();
    looking.abort();
    // Then the streams end: callers who wait get 503, every FFmpeg is reaped, directories go.
    registry.shutdown().await;
    // Then the answers to those callers go out, and the last webhooks.
    tokio::join!(drain.finish(DRAIN_DEADLINE), webhooks.finish());
    info!("ended");
    drop(spawner);
    Ok(())
}

/// Each stream and each player takes some file descriptors: as many as the system allows. FFmpeg gets
/// a limit of its own.
fn raise_file_limit(max_streams: usize) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!(%error, "the limit of open files stays as it is");
    }
    let wanted = max_streams as u64 * FILES_PER_STREAM + FILES_BESIDES;
    if let Some(allowed) = proc::max_open_files().filter(|allowed| *allowed < wanted) {
        let enough_for = allowed.saturating_sub(FILES_BESIDES) / FILES_PER_STREAM;
        warn!(
            "MAX_STREAMS={max_streams} needs {wanted} open files, and {allowed} are allowed, enough \
             for {enough_for} streams: raise the limit (LimitNOFILE, ulimit -n)"
        );
    }
}

/// The playback sessions. Without a secret of the operator's one is kept beside the database, so
/// that tokens outlive the manager.
async fn open_playback(config: &Config, cameras: &Cameras) -> Result<Playback, String> {
    let database = cameras.database();
    let secret = match &config.playback_secret {
        Some(secret) => secret.expose().as_bytes().to_vec(),
        None => store::playback_secret(database.path()).map_err(|error| error.to_string())?,
    };
    let public_keys = match &config.playback_public_keys {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            let told = |error| format!("PLAYBACK_PUBLIC_KEYS={}: {error}", path.display());
            Some(read.map_err(told)?)
        }
        None => None,
    };
    let opened = Playback::open(database.clone(), &secret, public_keys.as_deref()).await;
    opened.map_err(|reason| format!("PLAYBACK_SECRET or PLAYBACK_PUBLIC_KEYS: {reason}"))
}

/// Seals the cameras with a new key, while no manager runs. Returns what to tell the operator.
pub async fn rotate_key(config: Config) -> Result<String, StartError> {
    let [old, new] =
        [&config.source_key, &config.new_source_key].map(|key| key.as_ref().map(Secret::expose));
    if old.is_some() && new.is_none() {
        let detail = "SOURCE_KEY is set, so NEW_SOURCE_KEY has to be as well";
        return Err(StartError::Setting(detail.into()));
    }
    let rotated = store::rotate_key(&config.database_url, old, new).await;
    let count = rotated.map_err(|error| StartError::Setting(error.to_string()))?;
    let then = if new.is_some() { "; now set SOURCE_KEY to what NEW_SOURCE_KEY is" } else { "" };
    Ok(format!("{count} cameras are sealed with the new key{then}"))
}

fn api_keys(config: &Config) -> Result<ApiKeys, StartError> {
    let Some(keys) = &config.api_keys else { return Ok(ApiKeys::default()) };
    ApiKeys::load(keys.expose())
        .map_err(|reason| StartError::Setting(format!("API_KEYS is invalid: {reason}")))
}

fn webhook_settings(config: &Config) -> WebhookSettings {
    WebhookSettings { url: config.webhook_url.clone(), secret: config.webhook_secret.clone() }
}

fn ffmpeg_settings(config: &Config) -> FfmpegSettings {
    FfmpegSettings {
        program: config.ffmpeg_bin.clone(),
        hevc: config.hevc,
        nets: config.camera_nets(),
        start_timeout: config.start_timeout,
        stale_timeout: config.stale_timeout,
    }
}

fn shape(config: &Config) -> Shape {
    Shape {
        part_time: config.part_time,
        segment_time: config.segment_time,
        transcode: Transcode {
            preset: config.transcode_preset.to_owned(),
            max_height: config.transcode_max_height,
            max_bit_rate: config.transcode_max_kbps,
        },
    }
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        nice: config.ffmpeg_nice,
        memory: config.ffmpeg_max_memory,
        open_files: config.ffmpeg_max_open_files,
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        start_timeout: config.start_timeout,
        stale_timeout: config.stale_timeout,
        stalled_after: args::socket_timeout(config.start_timeout, config.stale_timeout),
        idle_timeout: config.idle_timeout,
        stop_grace: config.stop_grace,
        max_viewers: config.max_viewers,
    }
}

fn segment_policy(config: &Config) -> SegmentPolicy {
    SegmentPolicy {
        segment_time: config.segment_time,
        part_time: config.part_time,
        list_size: config.list_size,
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn first(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Ends the process on the next signal. The kernel then kills every FFmpeg.
    async fn second(mut self) {
        self.first().await;
        warn!("ended by a second signal");
        std::process::exit(1);
    }
}
