//! Every setting of the manager, declared once.
//!
//! The fields of [`Config`], their reading and checking, `--help`, `.env.example` and
//! `docs/reference/settings.md` are derived from these declarations. A field's doc comment is its
//! help text.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::declare::{Description, Problem, Setting, Variables, setting, settings};
use super::ice_server::IceServers;
use super::offsite_url::OffsiteUrl;
use super::value::{self, Addresses, CookieAttributes, Directories, TlsNames};
use crate::base::public_url::PublicUrl;
use crate::base::secret::Secret;
use crate::camera::networks::Networks;
use crate::camera::plan::Hevc;
use crate::camera::recording::RecordingMode;

/// Allowed values of `API_KEYS`.
const API_KEYS: &str = "name:role:secret or name:role:sha256:HASH, separated by commas or spaces, or \
                        @FILE; role: admin, user or viewer, followed by +recordings for this right";
/// Presets of libx264 that are fast enough for live video.
const PRESETS: [&str; 6] = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"];

/// Kinds of encryption by nginx, by name.
const TLS: [(&str, Tls); 2] = [("off", Tls::Off), ("self-signed", Tls::SelfSigned)];
/// Formats of log lines, by name.
const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
/// Recordings of new cameras, by name.
const RECORDINGS_DEFAULT: [(&str, RecordingMode); 3] = [
    ("off", RecordingMode::Off),
    ("continuous", RecordingMode::Continuous),
    ("events", RecordingMode::Events),
];
/// Recorded files that are copied, by name. True: only those with events.
const OFFSITE_FILES: [(&str, bool); 2] = [("all", false), ("events", true)];
/// Streams whose recordings are copied, by name.
const OFFSITE_STREAMS: [(&str, CopiedStreams); 3] =
    [("all", CopiedStreams::All), ("main", CopiedStreams::Main), ("sub", CopiedStreams::Sub)];
/// Values of settings that are on or off.
const SWITCH: [(&str, bool); 2] = [("false", false), ("true", true)];
/// Treatments of H.265, by name.
const HEVC: [(&str, Hevc); 2] = [("h264", Hevc::ToH264), ("copy", Hevc::Copy)];

/// Encryption of the connections to nginx, unless `TLS_CERT` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// No encryption, unless `TLS_CERT` is set.
    Off,
    /// Encryption with a certificate that the manager creates.
    SelfSigned,
}

/// Streams whose recordings are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiedStreams {
    /// Main streams and sub streams.
    All,
    /// Main streams.
    Main,
    /// Sub streams.
    Sub,
}

/// Format of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human-readable lines.
    Text,
    /// One JSON object per line.
    Json,
}

settings! {
    "Network" {
        /// Port of the HTTP API.
        port: u16 = setting("PORT", "8088", value::port());

        /// Address on which the HTTP API listens.
        bind_addr: IpAddr = setting("BIND_ADDR", "127.0.0.1", value::ip_address());

        /// Unix socket on which the HTTP API listens in addition to TCP. If nginx's `MANAGER_ADDR` names this
        /// socket, nginx needs less processor time than with TCP. Every user with access to the directory of
        /// the socket can connect.
        bind_socket: Option<PathBuf> = setting("BIND_SOCKET", "", value::path("a path").optional());
    }

    "Public address" {
        /// Address at which browsers reach nginx, such as `https://example.com/cameras`. If set, `hls_url`,
        /// `Location` and the link to the page in the log are URLs that begin with this address, and cookies and
        /// `stream_path` contain its path. nginx needs the same value. If unset, URLs in responses are paths
        /// without a host, and the service must be at the root of a host.
        public_url: PublicUrl = setting("PUBLIC_URL", "", value::public_url());
    }

    "TLS" {
        /// Encryption of the connections to nginx. With `self-signed`, the manager creates a certificate and its
        /// key in `TLS_DIR`, and renews them before the certificate expires. nginx needs the same value. For a
        /// certificate of your own, set `TLS_CERT` and `TLS_KEY` instead.
        tls: Tls = setting("TLS", "off", value::one_of(TLS)).must_be(
            "off if TLS_CERT is set",
            |config: &Config| config.tls == Tls::Off || config.tls_cert.is_none(),
        );

        /// Host names and addresses in the certificate that the manager creates. If unset, these are
        /// `localhost`, the loopback addresses, the machine's host name, and that name with `.local`.
        tls_names: TlsNames = setting("TLS_NAMES", "", value::tls_names());

        /// Directory for the certificate that the manager creates (`cert.pem`) and for its key (`key.pem`). Do not
        /// use a tmpfs, because browsers would warn about a new certificate after each restart of the machine.
        tls_dir: PathBuf = setting("TLS_DIR", "./tls", value::path("a writable directory"));

        /// File with the certificate that nginx uses, followed by its chain, as PEM. Only nginx reads the file. If
        /// this is set, the manager marks cookies as `Secure`, and begins the link in its log with `https`.
        tls_cert: Option<PathBuf> =
            setting("TLS_CERT", "", value::path("an absolute path").optional())
                .must_be("set if and only if TLS_KEY is set", |config: &Config| {
                    config.tls_cert.is_some() == config.tls_key.is_some()
                });

        /// File with the key of `TLS_CERT`, as PEM. Only nginx reads the file.
        tls_key: Option<PathBuf> =
            setting("TLS_KEY", "", value::path("an absolute path").optional());
    }

    "Storage" {
        /// Directory for segments. Two managers cannot share a directory.
        stream_dir: PathBuf =
            setting("STREAM_DIR", "./streams", value::path("a writable directory, preferably on a tmpfs"));

        /// Limit on the total size of all segments. Running streams can exceed this limit. Each stream whose HLS
        /// has just started has up to 8 MiB reserved for up to 20 s. HLS of another stream starts only if at
        /// least 16 MiB are left below the limit, in addition to the reserved space. With or without a limit,
        /// the disk must have 16 MiB of free space as well, in addition to the reserved space.
        stream_dir_max_bytes: Option<u64> =
            setting("STREAM_DIR_MAX_BYTES", "", value::bytes(16).optional());

        /// Database of the cameras and playback sessions. Do not put it on a tmpfs, which is empty after a
        /// restart of the machine.
        database_url: String =
            setting("DATABASE_URL", "sqlite:./streams.db", value::database_url());

        /// Key that encrypts the cameras' links and passwords in the database. If unset, the key is in a
        /// file next to the database (`.key` after the database's name), which only the file's owner can
        /// read. The manager creates this file together with the database.
        source_key: Option<Secret> =
            setting("SOURCE_KEY", "", value::secret("32 bytes as base64 or hex").optional());

        /// Key with which the command `rotate-key` re-encrypts the cameras' links and passwords. The
        /// service ignores this setting.
        new_source_key: Option<Secret> =
            setting("NEW_SOURCE_KEY", "", value::secret("32 bytes as base64 or hex").optional());
    }

    "Access" {
        /// Keys for the API and for playback. If unset, there is one key, which has the role admin and the name
        /// `admin`. The manager creates this key at its first start, in a file next to the database
        /// (`.admin-key` after the database's name) that only the file's owner can read. At each start, the log
        /// shows a link that opens the page with this key.
        api_keys: Option<Secret> = setting("API_KEYS", "", value::secret(API_KEYS).optional());

        /// If `true`, every program on this machine can do everything without a key. The manager and nginx can
        /// then listen on loopback addresses only. They refuse requests that have passed through another proxy,
        /// or whose host is neither `localhost` nor a loopback address. Has no effect if `API_KEYS` is set.
        allow_anonymous: bool = setting("ALLOW_ANONYMOUS", "false", value::one_of(SWITCH));

        /// Addresses of the proxies in front of nginx or of the manager. If a request comes from one of them,
        /// the client's address is the last address in `X-Forwarded-For` that is not in these networks. The
        /// manager uses the client's address for limits per address, for counting viewers, and in the log.
        trusted_proxies: Networks =
            setting("TRUSTED_PROXIES", "", value::networks("127.0.0.1, 10.0.0.0/8"));

        /// Secret that signs playback tokens. If unset, the secret is in a file next to the database
        /// (`.playback-key` after the database's name). The manager creates this file if it is missing.
        playback_secret: Option<Secret> =
            setting("PLAYBACK_SECRET", "", value::secret("at least 32 characters").optional());

        /// File with the public keys of back ends that sign playback tokens themselves (EdDSA or RS256).
        playback_public_keys: Option<PathBuf> =
            setting("PLAYBACK_PUBLIC_KEYS", "", value::path("a PEM or JWKS file").optional());

        /// Largest tolerated difference between the clocks of the manager and of back ends that sign playback
        /// tokens. A token is accepted up to this time before it becomes valid, and up to this time after it expires.
        playback_clock_skew: u64 =
            setting("PLAYBACK_CLOCK_SKEW_SECONDS", "30", value::number("whole seconds", 0..=300));

        /// Attributes of the cookie with a playback token. If unset, they are `Path=/streams; SameSite=Lax`, with the
        /// path of `PUBLIC_URL` before `/streams`. With `Domain=example.com`, browsers send the cookie to all
        /// subdomains of `example.com`. `SameSite=None` is for pages of other sites, and adds `Secure`.
        playback_cookie_attributes: Option<CookieAttributes> =
            setting("PLAYBACK_COOKIE_ATTRIBUTES", "", value::cookie_attributes().optional());

        /// Networks in which cameras are permitted. If unset, cameras are permitted in all networks except
        /// those in `CAMERA_DENY_NETS`.
        camera_allow_nets: Networks =
            setting("CAMERA_ALLOW_NETS", "", value::networks("192.168.0.0/16, fd00::/8"));

        /// Networks in which cameras are not permitted, even if `CAMERA_ALLOW_NETS` contains them.
        camera_deny_nets: Networks =
            setting("CAMERA_DENY_NETS", "", value::networks("127.0.0.0/8"));
    }

    "Webhooks" {
        /// URL to which the manager sends events. If unset, no events are sent.
        webhook_url: Option<Secret> =
            setting("WEBHOOK_URL", "", value::secret("an http or https URL").optional());

        /// Secret that signs events. If unset, events are not signed.
        webhook_secret: Option<Secret> =
            setting("WEBHOOK_SECRET", "", value::secret("at least 32 characters").optional());
    }

    "Events" {
        /// Number of days for which events are kept.
        events_keep_days: u64 = setting("EVENTS_KEEP_DAYS", "30", value::number("days", 1..=3650));

        /// Largest number of events that are kept. If there are more, the oldest ones are deleted. 500,000 events take about
        /// 200 MB in the database, and more if back ends report events with many details.
        events_max_count: u64 =
            setting("EVENTS_MAX_COUNT", "500000", value::number("a number", 1000..=10_000_000));
    }

    "Recordings" {
        /// Directories for recordings, separated by commas, usually one for each disk. A camera's recordings stay in
        /// one directory. If unset, cameras are not recorded.
        recordings_dirs: Directories = setting("RECORDINGS_DIRS", "", value::directories());

        /// Limit on the total size of all recordings. If they are larger, the oldest ones are deleted. With or without a
        /// limit, the oldest recordings on a disk are deleted before the disk is full.
        recordings_max_bytes: Option<u64> =
            setting("RECORDINGS_MAX_BYTES", "", value::bytes(64).optional());

        /// Number of days for which recordings are kept, unless a camera has another number. If unset, their age is
        /// not limited.
        recordings_keep_days: Option<u32> =
            setting("RECORDINGS_KEEP_DAYS", "", value::number("whole days", 1..=36_500).optional());

        /// Mode in which cameras are recorded that are added without the option `recording`.
        recordings_default: RecordingMode =
            setting("RECORDINGS_DEFAULT", "off", value::one_of(RECORDINGS_DEFAULT));

        /// Limit on the memory for frames that are kept for recordings that begin before an event. Above the limit, a
        /// camera that sends a frame drops its oldest ones.
        preroll_max_bytes: u64 = setting("PREROLL_MAX_BYTES", "268435456", value::bytes(16));
    }

    "Off-site copies" {
        /// Place to which recordings are copied: a bucket of AWS or of another S3 server, or a directory where a share is
        /// mounted. Recordings whose local files were deleted play from there. If unset, recordings are not copied.
        offsite_url: Option<OffsiteUrl> =
            setting("OFFSITE_URL", "", value::offsite_url().optional())
            .must_be("unset if RECORDINGS_DIRS is unset", |config: &Config| {
                config.offsite_url.is_none() || !config.recordings_dirs.0.is_empty()
            });

        /// URL of the S3 server. If unset, the server is that of AWS in `OFFSITE_REGION`. With `http`, recordings are not
        /// encrypted on their way.
        offsite_endpoint: Option<String> =
            setting("OFFSITE_ENDPOINT", "", value::server_url().optional());

        /// Region of the bucket. Most S3 servers other than AWS accept any region.
        offsite_region: String = setting("OFFSITE_REGION", "us-east-1", value::text("a region"));

        /// Id of the key for the S3 server.
        offsite_access_key: Option<String> =
            setting("OFFSITE_ACCESS_KEY", "", value::text("the id of a key").optional())
            .must_be("set if OFFSITE_URL is the URL of a bucket", |config: &Config| {
                let is_bucket = config.offsite_url.as_ref().is_some_and(OffsiteUrl::is_bucket);
                !is_bucket || config.offsite_access_key.is_some()
            });

        /// Key for the S3 server.
        offsite_secret_key: Option<Secret> =
            setting("OFFSITE_SECRET_KEY", "", value::secret("a key, or @FILE").optional())
            .must_be("set if OFFSITE_URL is the URL of a bucket", |config: &Config| {
                let is_bucket = config.offsite_url.as_ref().is_some_and(OffsiteUrl::is_bucket);
                !is_bucket || config.offsite_secret_key.is_some()
            });

        /// Recorded files that are copied: all, or only those at whose time something has happened to the camera. Files with
        /// events are copied first.
        offsite_files: bool = setting("OFFSITE_FILES", "all", value::one_of(OFFSITE_FILES));

        /// Streams whose recordings are copied.
        offsite_streams: CopiedStreams =
            setting("OFFSITE_STREAMS", "all", value::one_of(OFFSITE_STREAMS));

        /// Number of days for which copies are kept. If unset, their age is not limited. Recordings whose local files and
        /// copies were deleted are gone.
        offsite_keep_days: Option<u32> =
            setting("OFFSITE_KEEP_DAYS", "", value::number("whole days", 1..=36_500).optional());

        /// Limit on the bandwidth of copying. If unset, the bandwidth is not limited.
        offsite_max_kbps: Option<u64> =
            setting("OFFSITE_MAX_KBPS", "", value::number("kbit/s", 64..=10_000_000).optional());
    }

    "Reachability" {
        /// Interval at which the manager checks whether each camera can be reached. A check connects to the
        /// RTSP port and sends `OPTIONS` without credentials; a camera with a live stream is not contacted. If
        /// unset, there are no checks.
        check_interval: Option<Duration> =
            setting("CHECK_INTERVAL_SECONDS", "", value::seconds(1.0..=86_400.0).optional());
    }

    "Stream lifecycle" {
        /// Time for which a stream continues to run after the last request for its start or its media.
        /// The HLS of a stream ends if no client has used HLS for this time. The main streams of cameras
        /// with `keep: always` do not end.
        idle_timeout: Duration =
            setting("CLEANUP_DELAY_SECONDS", "30", value::seconds(1.0..=86_400.0))
            .must_be("at least HLS_SEGMENT_TIME", |config: &Config| {
                config.segment_time <= config.idle_timeout
            });

        /// Interval at which the manager ends streams, and HLS of streams, that no client has used for
        /// `CLEANUP_DELAY_SECONDS`.
        cleanup_interval: Duration =
            setting("CLEANUP_INTERVAL_SECONDS", "10", value::seconds(0.1..=3600.0));

        /// Time within which a stream must become playable after it has got a start slot. A camera that
        /// sends video but no keyframe gets more time.
        start_timeout: Duration =
            setting("START_TIMEOUT_SECONDS", "15", value::seconds(1.0..=120.0));

        /// Time after which a live stream is restarted if its picture does not advance.
        stale_timeout: Duration =
            setting("STALE_TIMEOUT_SECONDS", "10", value::seconds(1.0..=300.0))
            .must_be("at least three times HLS_PART_MILLISECONDS", |config: &Config| {
                config.part_time * 3 <= config.stale_timeout
            });

        /// Time that FFmpeg has to end after SIGTERM before it is killed with SIGKILL.
        stop_grace: Duration = setting("STOP_GRACE_SECONDS", "5", value::seconds(0.1..=60.0));
    }

    "Limits" {
        /// Largest number of streams, including those whose start has failed recently. Starts of further
        /// streams are refused with status 503.
        max_streams: usize = setting("MAX_STREAMS", "1000", value::number("a number", 1..=100_000));

        /// Number of slots for starts. A start holds its slot until the stream is playable or has failed,
        /// but for at most one second. Further starts wait in a queue for up to 20 seconds. There are
        /// additional slots, half as many, for reconnecting and for cameras with `keep: always`.
        max_concurrent_starts: usize =
            setting("MAX_CONCURRENT_STARTS", "16", value::number("a number", 1..=10_000));

        /// Limit on the memory for the frames that all streams keep. Each stream keeps the frames since its
        /// last keyframe, so that a new consumer has a picture at once. Above the limit, a stream keeps only
        /// the keyframe, and the frames that its consumers have not read yet.
        max_kept_frames: u64 =
            setting("FRAMES_MAX_MEMORY_MB", "1024", value::mebibytes(16..=1_048_576));

        /// Largest number of viewers of one stream at the same time. At most 8 players of one user at one
        /// address are counted. If unset, the number is not limited.
        max_viewers: Option<usize> =
            setting("MAX_VIEWERS_PER_STREAM", "", value::number("a number", 1..=10_000).optional());
    }

    "HLS" {
        /// Target duration of a segment.
        segment_time: Duration = setting("HLS_SEGMENT_TIME", "2", value::seconds(1.0..=10.0));

        /// Number of finished segments in the playlist, after a stream has run for some time. The playlist
        /// contains more segments if this number of segments is shorter in total than RFC 8216 requires, or if
        /// none of them has a keyframe at which players without low latency can begin. Players without low latency
        /// begin at least three target durations before the end. Segments leave the playlist only when the next
        /// segment with a keyframe becomes the first one.
        list_size: usize = setting("HLS_LIST_SIZE", "5", value::number("a number", 3..=100));

        /// Longest duration of a part, with a tolerance of 5 %, unless a single frame lasts longer. Longer
        /// parts mean fewer requests, but a higher latency.
        part_time: Duration =
            setting("HLS_PART_MILLISECONDS", "100", value::milliseconds(100..=2000))
            .must_be("at most half of HLS_SEGMENT_TIME", |config: &Config| {
                config.part_time * 2 <= config.segment_time
            });
    }

    "WebRTC" {
        /// Port for WebRTC, with UDP and, for viewers whose network blocks UDP, with TCP. The manager listens on all
        /// addresses. All viewers use this one port. `off` turns WebRTC off.
        webrtc_port: Option<u16> = setting("WEBRTC_PORT", "8189", value::port_or_off());

        /// Addresses at which viewers reach the port. If unset, the addresses of the machine's network interfaces. In a
        /// container, WebRTC is off until the addresses are set. Behind a router that translates addresses, set the
        /// public address as well.
        webrtc_addresses: Addresses = setting("WEBRTC_ADDRESSES", "", value::addresses());

        /// STUN and TURN servers that players can use. In a local network, none are necessary. Every viewer gets the
        /// user names and passwords in these URLs.
        webrtc_ice_servers: IceServers = setting("WEBRTC_ICE_SERVERS", "", value::ice_servers());
    }

    "Transcoding" {
        /// Treatment of H.265 from cameras whose option `video` is `auto`. `h264` converts it to H.264,
        /// which all browsers play. `copy` needs no CPU time for conversion. H.265 plays in Safari, and
        /// in Chrome and Edge on devices that can decode it.
        hevc: Hevc = setting("HEVC", "h264", value::one_of(HEVC));

        /// Preset of libx264 for video that is converted to H.264. With a slower preset, the video needs
        /// less bandwidth but more CPU time.
        transcode_preset: &'static str =
            setting("TRANSCODE_PRESET", "veryfast", value::one_of(PRESETS.map(|it| (it, it))));

        /// Largest height of video that is converted to H.264. Taller video is scaled down.
        transcode_max_height: u32 =
            setting("TRANSCODE_MAX_HEIGHT", "1080", value::number("pixels", 120..=4320));

        /// Largest bit rate of video that is converted to H.264, averaged over one second.
        transcode_max_kbps: u32 =
            setting("TRANSCODE_MAX_KBPS", "4000", value::number("kbit/s", 100..=100_000));
    }

    "FFmpeg" {
        /// FFmpeg program to run.
        ffmpeg_bin: PathBuf =
            setting("FFMPEG_BIN", "ffmpeg", value::path("the name or path of a program"));

        /// Niceness of each FFmpeg process. The higher the niceness, the less CPU time FFmpeg gets while other
        /// programs need the CPU.
        ffmpeg_nice: i32 = setting("FFMPEG_NICE", "5", value::number("a number", 0..=19));

        /// Largest amount of private writable memory that each FFmpeg process can allocate. A process that
        /// needs more ends with an error.
        ffmpeg_max_memory: u64 =
            setting("FFMPEG_MAX_MEMORY_MB", "1024", value::mebibytes(64..=65_536));

        /// Largest number of files and connections that each FFmpeg process can have open.
        ffmpeg_max_open_files: u64 =
            setting("FFMPEG_MAX_OPEN_FILES", "64", value::number("a number", 16..=65_536));
    }

    "Logging" {
        /// Format of the log lines on standard error.
        log_format: LogFormat = setting("LOG_FORMAT", "text", value::one_of(LOG_FORMATS));

        /// Filter that selects the log lines.
        log_filter: String = setting("RUST_LOG", "info", value::log_filter());
    }

    "nginx" {
        /// Address on which nginx listens. The manager uses this address for the link to the page in its log, and
        /// for one check: `ALLOW_ANONYMOUS=true` requires a loopback address.
        nginx_bind_addr: String =
            setting("NGINX_BIND_ADDR", "127.0.0.1", value::text("an IP address"));

        /// Port on which nginx listens. The manager uses this port only for the link to the page in its log.
        nginx_port: u16 = setting("NGINX_PORT", "8080", value::port());
    }
}
