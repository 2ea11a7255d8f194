//! Assembles the manager from its parts, and shuts the parts down in a fixed order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::access::Access;
use crate::access::admin_key::{AdminKey, AdminKeyError};
use crate::access::keys::ApiKeys;
use crate::access::rights::Right;
use crate::analysis::shared::Analyses;
use crate::api::context::Api;
use crate::api::metrics::exporter::Exporter;
use crate::api::route::Table;
use crate::api::router::Router;
use crate::api::routes;
use crate::api::server::Server;
use crate::base::counters::Counters;
use crate::base::secret::Secret;
use crate::base::tasks::EndedTasks;
use crate::camera::recording::RecordingOptions;
use crate::child::spawner::Spawner;
use crate::config::{self, Config, Tls};
use crate::events::bus::Bus;
use crate::ingest::Ingest;
use crate::ingest::ffmpeg::check::FfmpegCheck;
use crate::ingest::ffmpeg::launcher::FfmpegIngest;
use crate::ingest::ffmpeg::probe::StillTaker;
use crate::ingest::rendition::FfmpegTranscoder;
use crate::media::frame_budget::FrameBudget;
use crate::offsite::queue;
use crate::offsite::shared::Offsite;
use crate::onvif::finder::Finder;
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::layout::Layout;
use crate::output::hls::output::Hls;
use crate::output::hls::sweep::{self, DirLock, LeftStream};
use crate::output::recorder::shared::Recorder;
use crate::output::webrtc::opus::OpusEncoders;
use crate::output::webrtc::server::WebRtc;
use crate::pictures::decoder::Decoder;
use crate::pictures::live::Pictures;
use crate::pictures::recorded::RecordedPictures;
use crate::pictures::snapshots::Snapshots;
use crate::playback::{Playback, PlaybackError, secret};
use crate::reachability::monitor::ReachabilityMonitor;
use crate::recordings::h264::H264Converter;
use crate::service::analysing;
use crate::service::checking;
use crate::service::core::Core;
use crate::service::export_places::ExportPlaces;
use crate::service::keeping;
use crate::service::live_places::LivePlaces;
use crate::service::readiness::Readiness;
use crate::service::recording;
use crate::store::event_log::WriterEnd;
use crate::store::seal::SealKeyError;
use crate::store::{Cameras, EventLog, StoreError};
use crate::stream::reaper;
use crate::stream::registry::Registry;
use crate::stream::resources::StreamResources;
use crate::stream::start_queue::StartQueue;
use crate::stream::threads::Threads;
use crate::webhooks::Webhooks;
use certificate::OwnCertificate;
use signals::Signals;
use sockets::PassedSockets;

pub use error::StartError;

mod certificate;
mod error;
mod open_files;
mod settings;
mod signals;
mod sockets;

/// The time within which the last responses must be sent, after all streams have ended.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);

/// The longest time that the start waits for the disks with recordings.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the manager until SIGTERM or SIGINT. A second signal ends the process at once.
pub(crate) async fn run(config: Config) -> Result<(), StartError> {
    run_with(config, |config, spawner| {
        let settings = settings::ffmpeg(config);
        Arc::new(FfmpegIngest::new(settings, settings::shape(config), spawner))
    })
    .await
}

/// Runs the manager with the ingest that `make_ingest` creates. Benchmarks replace FFmpeg this way.
pub async fn run_with(
    config: Config,
    make_ingest: impl FnOnce(&Config, Spawner) -> Arc<dyn Ingest>,
) -> Result<(), StartError> {
    let sockets =
        PassedSockets::take().map_err(StartError::system("use the sockets that systemd passes"))?;
    if let Some(listener) = &sockets.tcp {
        let action = "read the address of the TCP socket that systemd passes";
        let address = listener.local_addr().map_err(StartError::system(action))?;
        config.ensure_not_exposed(address).map_err(StartError::part)?;
    }
    let service = Service::assemble(&config, make_ingest).await?;
    service.log_problems().await;
    let server = listen(&config, sockets, &service.router).await?;
    let signals = Signals::install().map_err(StartError::system("install signal handlers"))?;
    let address =
        server.address().map_err(StartError::system("read the address of the listening socket"))?;
    info!(%address, "listening");
    service.announce_admin_key(&config);
    service.serve(server, signals, &config).await;
    Ok(())
}

/// The parts of the manager that must be shut down in a fixed order.
struct Service {
    router: Arc<Router>,
    readiness: Arc<Readiness>,
    core: Arc<Core>,
    disk_budget: DiskBudget,
    webhooks: Webhooks,
    event_writer: WriterEnd,
    ended_tasks: EndedTasks,
    /// The certificate that the manager creates for nginx; `None` unless `TLS` is `self-signed`.
    certificate: Option<OwnCertificate>,
    /// The admin key that the manager has created; `None` if `API_KEYS` is set, or if there is no authentication.
    admin_key: Option<AdminKey>,
    /// When the spawner's thread ends, the kernel kills all FFmpeg processes.
    spawner: Spawner,
    stream_dir: DirLock,
}

impl Service {
    async fn assemble(
        config: &Config,
        make_ingest: impl FnOnce(&Config, Spawner) -> Arc<dyn Ingest>,
    ) -> Result<Self, StartError> {
        let keys = api_keys(config)?;
        open_files::raise_limit(config.max_streams);
        let layout = Layout::new(config.stream_dir.clone());
        let (stream_dir, left) = claim_stream_dir(&layout)?;
        let certificate = own_certificate(config)?;
        let cameras = open_cameras(config).await?;
        for stream in &left {
            cameras.numbers().of(&stream.id).correct(stream.numbers);
        }
        let admin_key = admin_key(config, &cameras)?;
        let access = match &admin_key {
            Some(key) => Access::with_admin_key(&key.secret).map_err(StartError::part)?,
            None => Access::new(keys),
        };
        let playback = open_playback(config, &cameras).await?;
        playback.keep_shares_of(|name, owner| access.has_key_with(name, Right::Recordings, owner));
        let spawner = Spawner::start(settings::bounds(config), &config::variable_names())
            .map_err(StartError::system("start a thread"))?;
        let ingest = make_ingest(config, spawner.clone());
        let (bus, journal) = Bus::with_journal();
        let ended_tasks = EndedTasks::default();
        // The start of the log of events publishes events.
        let webhooks = Webhooks::start(&settings::webhooks(config), &bus, &ended_tasks)
            .map_err(StartError::part)?;
        let (database, limits) = (cameras.database().clone(), settings::events(config));
        let opened = EventLog::start(database, bus.clone(), journal, limits, &ended_tasks).await;
        let (events, event_writer) = opened
            .map_err(StoreError::from)
            .map_err(StartError::database(StoreError::is_unusable))?;
        let disk_budget = DiskBudget::new(config.stream_dir.clone(), config.stream_dir_max_bytes);
        let monitor = || Arc::new(ReachabilityMonitor::new(bus.clone()));
        let reachability = config.check_interval.map(|_| monitor());
        let (hls, registry) =
            streams(config, &layout, &disk_budget, ingest, &spawner, bus.clone())?;
        hls.keep(left);
        let ffmpeg = FfmpegCheck::new(config.ffmpeg_bin.clone(), spawner.clone());
        let (disk, database) = (disk_budget.clone(), cameras.database().clone());
        let readiness =
            Arc::new(Readiness::new(ffmpeg, layout, disk, database, ended_tasks.clone()));
        let decoder = Decoder::new(config.ffmpeg_bin.clone(), spawner.clone());
        let counters = registry.resources().counters.clone();
        let pictures = Pictures::new(decoder.clone(), counters.clone());
        let recorded_pictures = RecordedPictures::new(decoder.clone());
        let snapshots = Snapshots::new(decoder, counters);
        let webrtc = WebRtc::start(&settings::webrtc(config));
        let recorder = recorder(config, &cameras, bus).await?;
        let offsite = offsite(config)?;
        readiness.set_recorder(recorder.clone(), offsite.clone());
        let core = Arc::new(Core {
            access,
            cameras,
            registry,
            hls,
            webrtc,
            opus: OpusEncoders::new(config.ffmpeg_bin.clone(), spawner.clone()),
            snapshots,
            recorded_pictures,
            h264_converter: H264Converter::new(
                config.ffmpeg_bin.clone(),
                settings::shape(config),
                spawner.clone(),
            ),
            pictures,
            analyses: Analyses::default(),
            events,
            recorder,
            offsite,
            playback,
            live_places: LivePlaces::default(),
            export_places: ExportPlaces::default(),
            reachability,
        });
        let router = router(config, &core, &readiness, &disk_budget, &spawner);
        Ok(Self {
            router,
            readiness,
            core,
            disk_budget,
            webhooks,
            event_writer,
            ended_tasks,
            certificate,
            admin_key,
            spawner,
            stream_dir,
        })
    }

    /// Logs the path of the file that contains the admin key, and a link that opens the page with this key. The key
    /// is after the `#` of the link. Browsers do not send this part of a link to servers.
    fn announce_admin_key(&self, config: &Config) {
        if let Some(AdminKey { secret, file }) = &self.admin_key {
            let link = format!("{}#key={secret}", settings::page_url(config));
            let file = file.display();
            info!(%link, %file, "API_KEYS is not set, so the manager uses the admin key in this file; the link opens the page with this key");
        }
    }

    async fn log_problems(&self) {
        for failed in self.readiness.failed_checks().await {
            error!(problem = %failed.error, "the manager is not ready; starts of streams may fail until the problem is fixed");
        }
    }

    /// Serves requests until the first signal, and then shuts down all parts. Only this function defines
    /// the order of the shutdown.
    async fn serve(self, server: Server, mut signals: Signals, config: &Config) {
        let Self { readiness, core, disk_budget, webhooks, event_writer, .. } = self;
        let (ended_tasks, spawner, stream_dir) = (self.ended_tasks, self.spawner, self.stream_dir);
        let mut tasks = start_tasks(&core, disk_budget, &ended_tasks, config);
        if let Some(certificate) = self.certificate {
            let renewal = certificate.keep_valid();
            tasks.spawn(ended_tasks.watch("renewal of the certificate for nginx", renewal));
        }
        let drain = server.run(signals.next()).await;
        tokio::spawn(signals.exit_on_next());

        // The server accepts no further connections. On open connections, `/readyz` reports the shutdown
        // from now on.
        readiness.close();
        info!("shutting down");
        // Tells the viewers, while the sockets still work.
        core.webrtc.shutdown().await;
        drop(tasks);
        core.analyses.finish().await;
        // Ends all streams: callers that wait for a stream get 503, FFmpeg processes are reaped, and all files are
        // deleted except those with which the playlists can continue after a restart.
        core.registry.shutdown().await;
        if let Some(recorder) = &core.recorder {
            recorder.finish().await;
        }
        core.cameras.numbers().release().await;
        // Sends the responses to those callers, stores the last events, and sends the last webhooks. When the events are
        // stored, the clients that follow events get them, and their connections end.
        tokio::join!(drain.finish(DRAIN_DEADLINE), event_writer.finish(), webhooks.finish());
        info!("shutdown complete");
        drop(spawner);
        // Unlocks the directory, so that another manager can use it.
        drop(stream_dir);
    }
}

/// Starts the tasks that run until the shutdown. The shutdown drops the returned set, and so ends the tasks. If a
/// task ends earlier, `ended` records its name. The task that checks cameras is started only if
/// `CHECK_INTERVAL_SECONDS` is set.
fn start_tasks(
    core: &Arc<Core>,
    disk_budget: DiskBudget,
    ended: &EndedTasks,
    config: &Config,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(ended.watch("starts of kept streams", keeping::run(Arc::clone(core))));
    tasks.spawn(ended.watch("detection of motion", analysing::run(Arc::clone(core))));
    let reaper = reaper::run(core.registry.clone(), config.cleanup_interval);
    tasks.spawn(ended.watch("ends of idle streams", reaper));
    tasks.spawn(ended.watch("monitoring of the disk of STREAM_DIR", disk_budget.watch()));
    let events = core.events.clone();
    let deletion = async move { events.delete_old().await };
    tasks.spawn(ended.watch("deletion of old events", deletion));
    let database = core.cameras.database().clone();
    let checkpoints = async move { database.keep_checkpointed().await };
    tasks.spawn(ended.watch("checkpoints of the database", checkpoints));
    let numbers = core.cameras.numbers().clone();
    let reservation = async move { numbers.run().await };
    tasks.spawn(ended.watch("reservation of segment numbers", reservation));
    if let Some(sockets) = core.webrtc.serve() {
        tasks.spawn(ended.watch("WebRTC sockets", sockets));
        // The first viewer need not wait for this test, and the log has its result before there are viewers.
        let opus = core.opus.clone();
        tasks.spawn(async move {
            opus.can_convert().await;
        });
    }
    if let Some(recorder) = &core.recorder {
        let recording = recording::run(Arc::clone(core), recorder.clone());
        tasks.spawn(ended.watch("recording of cameras", recording));
        let disks = recording::watch_disks(Arc::clone(core), recorder.clone());
        tasks.spawn(ended.watch("checks of the disks for recordings", disks));
        let limits = settings::recording_limits(config);
        let upkeep = recording::upkeep(Arc::clone(core), recorder.clone(), limits);
        tasks.spawn(ended.watch("deletion of old recordings", upkeep));
        if let Some(offsite) = &core.offsite {
            let bus = core.events.bus().clone();
            let copying = queue::run(offsite.clone(), recorder.clone(), bus);
            tasks.spawn(ended.watch("copying of recordings", copying));
        }
    }
    if let (Some(interval), Some(monitor)) = (config.check_interval, &core.reachability) {
        let (core, monitor) = (Arc::clone(core), Arc::clone(monitor));
        let checker = checking::run(core, config.camera_nets(), monitor, interval);
        tasks.spawn(ended.watch("checks of cameras", checker));
    }
    tasks
}

fn api_keys(config: &Config) -> Result<ApiKeys, StartError> {
    let Some(keys) = &config.api_keys else { return Ok(ApiKeys::default()) };
    ApiKeys::load(keys.expose()).map_err(StartError::setting("API_KEYS"))
}

/// Returns the admin key of a manager without `API_KEYS`, and creates the key at the first start. Returns `None` if
/// `API_KEYS` is set, or if the manager runs without authentication.
fn admin_key(config: &Config, cameras: &Cameras) -> Result<Option<AdminKey>, StartError> {
    if config.api_keys.is_some() || config.is_anonymous() {
        return Ok(None);
    }
    let key = AdminKey::read_or_create(cameras.database().path());
    key.map(Some).map_err(StartError::database(AdminKeyError::is_unusable))
}

/// Returns the certificate for nginx, and creates it if necessary; `None` unless `TLS` is `self-signed`.
fn own_certificate(config: &Config) -> Result<Option<OwnCertificate>, StartError> {
    if config.tls != Tls::SelfSigned {
        return Ok(None);
    }
    let certificate = OwnCertificate::new(&config.tls_dir, &config.tls_names.0);
    let setting = format!("TLS_DIR={}", config.tls_dir.display());
    certificate.ensure_valid().map_err(StartError::setting(setting))?;
    Ok(Some(certificate))
}

/// Locks `STREAM_DIR`, and deletes the files that an earlier manager left there, except those with which the playlists
/// of that manager can continue. Returns the lock, and the streams that had files.
fn claim_stream_dir(layout: &Layout) -> Result<(DirLock, Vec<LeftStream>), StartError> {
    let lock = sweep::lock(layout).and_then(|lock| sweep::sweep(layout).map(|left| (lock, left)));
    let setting = format!("STREAM_DIR={}", layout.root().display());
    lock.map_err(StartError::setting(setting))
}

async fn open_cameras(config: &Config) -> Result<Cameras, StartError> {
    let key = config.source_key.as_ref().map(Secret::expose);
    let opened = Cameras::open(&config.database_url, key).await;
    opened.map_err(StartError::database(StoreError::is_unusable))
}

/// Opens the playback sessions. If `PLAYBACK_SECRET` is unset, the secret comes from a file next to the
/// database, so that tokens remain valid after a restart.
async fn open_playback(config: &Config, cameras: &Cameras) -> Result<Playback, StartError> {
    let database = cameras.database();
    let secret = match &config.playback_secret {
        Some(secret) => secret.expose().as_bytes().to_vec(),
        None => secret::read_or_create(database.path())
            .map_err(StartError::database(SealKeyError::is_unusable))?,
    };
    let public_keys = match &config.playback_public_keys {
        Some(path) => {
            let setting = format!("PLAYBACK_PUBLIC_KEYS={}", path.display());
            Some(std::fs::read_to_string(path).map_err(StartError::setting(setting))?)
        }
        None => None,
    };
    let (database, clock_skew) = (database.clone(), config.playback_clock_skew);
    let opened = Playback::open(database, &secret, public_keys.as_deref(), clock_skew).await;
    let is_unusable = |error: &PlaybackError| matches!(error, PlaybackError::Database(_));
    opened.map_err(StartError::database(is_unusable))
}

/// Starts the recorder; `None` if `RECORDINGS_DIRS` is not set.
async fn recorder(
    config: &Config,
    cameras: &Cameras,
    events: Bus,
) -> Result<Option<Recorder>, StartError> {
    let mode = config.recordings_default;
    cameras.set_default_recording(RecordingOptions { mode, ..RecordingOptions::default() });
    let paths = &config.recordings_dirs.0;
    if paths.is_empty() {
        return Ok(None);
    }
    let (database, clock) = (cameras.database().clone(), Arc::new(SystemTime::now));
    let (preroll, copies) = (config.preroll_max_bytes, settings::copies(config));
    let recorder = Recorder::start(database, paths, preroll, events, copies, clock)
        .map_err(StartError::system("start a thread"))?;
    // If a disk hangs, the service starts nevertheless. The check is repeated regularly.
    let check = recorder.directories().check(cameras.database());
    if let Ok(Err(error)) = timeout(CHECK_PATIENCE, check).await {
        warn!(%error, "cannot check the directories for recordings");
    }
    Ok(Some(recorder))
}

/// Creates the place for copies of recordings; `None` if `OFFSITE_URL` is not set.
fn offsite(config: &Config) -> Result<Option<Offsite>, StartError> {
    let settings = settings::offsite(config).map_err(StartError::setting("OFFSITE_SECRET_KEY"))?;
    let offsite = settings.map(|settings| Offsite::new(&settings)).transpose();
    offsite.map_err(StartError::setting("OFFSITE_URL"))
}

/// Creates the HLS output and the registry of streams.
fn streams(
    config: &Config,
    layout: &Layout,
    disk_budget: &DiskBudget,
    ingest: Arc<dyn Ingest>,
    spawner: &Spawner,
    events: Bus,
) -> Result<(Hls, Registry), StartError> {
    let counters = Counters::default();
    let policy = settings::segment_policy(config);
    let program = config.ffmpeg_bin.clone();
    let transcoder = FfmpegTranscoder::new(program, settings::shape(config), spawner.clone());
    let hls = Hls::new(layout.clone(), disk_budget.clone(), policy, counters.clone());
    let registry = Registry::new(StreamResources {
        output: Arc::new(hls.clone()),
        threads: Threads::start().map_err(StartError::system("start a thread"))?,
        limits: settings::limits(config),
        max_streams: config.max_streams,
        starts: StartQueue::new(config.max_concurrent_starts),
        ingest,
        transcoder: Arc::new(transcoder),
        hevc: config.hevc,
        frames: FrameBudget::new(config.max_kept_frames),
        counters,
        events,
    });
    Ok((hls, registry))
}

/// Creates the router of the HTTP API.
fn router(
    config: &Config,
    core: &Arc<Core>,
    readiness: &Arc<Readiness>,
    disk_budget: &DiskBudget,
    spawner: &Spawner,
) -> Arc<Router> {
    let table = Table::new(routes::all());
    let registry = core.registry.clone();
    let api = Api::new(
        Arc::clone(core),
        Finder::new(config.camera_nets()),
        StillTaker::new(settings::ffmpeg(config), spawner.clone()),
        Arc::clone(readiness),
        settings::cookie_attributes(config),
        Exporter::new(
            registry,
            disk_budget.clone(),
            core.reachability.clone(),
            &core.webrtc,
            core.events.counters(),
            core.recorder.as_ref().map(Recorder::counters),
            table.labels(),
        )
        .with_offsite(core.offsite.as_ref().map(Offsite::counters))
        .with_analysis(core.analyses.counters()),
        config.public_url.clone(),
    );
    let api = api.with_ice_servers(settings::ice_servers(config));
    Arc::new(Router::new(api, table, config.trusted_proxies.clone()))
}

/// Listens on the sockets that systemd has passed. If there is no TCP socket among them, listens on `BIND_ADDR`
/// and `PORT`. If there is no Unix socket among them and `BIND_SOCKET` is set, listens on `BIND_SOCKET`.
async fn listen(
    config: &Config,
    passed: PassedSockets,
    router: &Arc<Router>,
) -> Result<Server, StartError> {
    let address = SocketAddr::new(config.bind_addr, config.port);
    let mut server = if let Some(listener) = passed.tcp {
        let action = "listen on the TCP socket that systemd passes";
        Server::listening(listener, Arc::clone(router)).map_err(StartError::system(action))?
    } else {
        let action = format!("listen on {address} (BIND_ADDR, PORT)");
        Server::bind(address, Arc::clone(router)).await.map_err(StartError::system(action))?
    };
    if let Some(listener) = passed.unix {
        let action = "listen on the Unix socket that systemd passes";
        server.listen_on(listener).map_err(StartError::system(action))?;
    } else if let Some(path) = &config.bind_socket {
        let action = format!("listen on BIND_SOCKET={}", path.display());
        server.bind_socket(path).await.map_err(StartError::system(action))?;
    }
    Ok(server)
}
