//! Every setting of the manager, declared once.
//!
//! The fields of [`Config`], their reading and checking, `--help`, `.env.example` and
//! `docs/reference/settings.md` are derived from these declarations. A field's doc comment is its
//! help text.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::declare::{Description, Problem, Setting, Variables, setting, settings};
use super::value;
use crate::base::secret::Secret;
use crate::camera::networks::Networks;
use crate::camera::plan::Hevc;

/// Allowed values of `API_KEYS`.
const API_KEYS: &str = "entries name:role:secret, or @ and the path of a file with them; roles are \
                        admin, user and viewer";
/// Presets of libx264 that are fast enough for live video.
const PRESETS: [&str; 6] = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"];

/// Forms of log lines by name.
const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
/// Uses of H.265 by name.
const HEVC: [(&str, Hevc); 2] = [("h264", Hevc::ToH264), ("copy", Hevc::Copy)];

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
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

        /// Unix socket on which the HTTP API listens as well. nginx needs less work to ask there
        /// than over TCP. Every user who can enter its directory can connect.
        bind_socket: Option<PathBuf> = setting("BIND_SOCKET", "", value::path("a path").optional());
    }

    "Storage" {
        /// Directory for segments. Only one manager can use it.
        stream_dir: PathBuf =
            setting("STREAM_DIR", "./streams", value::path("a writable directory, best a tmpfs"));

        /// No stream starts that would make all segments together larger than this. In any case
        /// 16 MiB of the disk must be free, and 8 MiB more for each stream that has just begun.
        stream_dir_max_bytes: Option<u64> =
            setting("STREAM_DIR_MAX_BYTES", "", value::bytes(16).optional());

        /// Database of the cameras and playback sessions. Not on a tmpfs.
        database_url: String =
            setting("DATABASE_URL", "sqlite:./streams.db", value::database_url());

        /// Key that seals the cameras' links and passwords in the database. If unset, a key is
        /// created and kept in a file beside the database, which only its owner can read.
        source_key: Option<Secret> =
            setting("SOURCE_KEY", "", value::secret("32 bytes as base64 or hex").optional());

        /// Key that replaces `SOURCE_KEY`, for the command `rotate-key` only.
        new_source_key: Option<Secret> =
            setting("NEW_SOURCE_KEY", "", value::secret("32 bytes as base64 or hex").optional());
    }

    "Access" {
        /// Keys for the API and for watching. If unset, everyone can do everything, on loopback
        /// only.
        api_keys: Option<Secret> = setting("API_KEYS", "", value::secret(API_KEYS).optional());

        /// Secret that signs playback tokens. If unset, a secret is created and kept in a file
        /// beside the database.
        playback_secret: Option<Secret> =
            setting("PLAYBACK_SECRET", "", value::secret("at least 32 characters").optional());

        /// Public keys of back ends that sign playback tokens themselves (EdDSA or RS256).
        playback_public_keys: Option<PathBuf> =
            setting("PLAYBACK_PUBLIC_KEYS", "", value::path("a PEM or JWKS file").optional());

        /// Networks in which cameras are allowed. If unset, every network that is not denied.
        camera_allow_nets: Networks =
            setting("CAMERA_ALLOW_NETS", "", value::networks("192.168.0.0/16, fd00::/8"));

        /// Networks in which cameras are not allowed.
        camera_deny_nets: Networks =
            setting("CAMERA_DENY_NETS", "", value::networks("127.0.0.0/8"));
    }

    "Webhooks" {
        /// Address to which events about streams are sent. If unset, none are sent.
        webhook_url: Option<Secret> =
            setting("WEBHOOK_URL", "", value::secret("an http or https URL").optional());

        /// Secret that signs events. If unset, they are not signed.
        webhook_secret: Option<Secret> =
            setting("WEBHOOK_SECRET", "", value::secret("at least 32 characters").optional());
    }

    "Life of streams" {
        /// A stream ends this long after its last viewer's last request.
        idle_timeout: Duration =
            setting("CLEANUP_DELAY_SECONDS", "30", value::seconds(1.0..=86_400.0))
            .must_be("at least HLS_SEGMENT_TIME", |config: &Config| {
                config.segment_time <= config.idle_timeout
            });

        /// Interval at which streams without viewers are looked for.
        cleanup_interval: Duration =
            setting("CLEANUP_INTERVAL_SECONDS", "10", value::seconds(0.1..=3600.0));

        /// Time within which a stream must become playable.
        start_timeout: Duration =
            setting("START_TIMEOUT_SECONDS", "15", value::seconds(1.0..=120.0));

        /// A live stream whose picture does not advance for this long is restarted.
        stale_timeout: Duration =
            setting("STALE_TIMEOUT_SECONDS", "10", value::seconds(1.0..=300.0))
            .must_be("at least three times HLS_PART_MILLISECONDS", |config: &Config| {
                config.part_time * 3 <= config.stale_timeout
            });

        /// Time that FFmpeg gets to end after SIGTERM, before SIGKILL.
        stop_grace: Duration = setting("STOP_GRACE_SECONDS", "5", value::seconds(0.1..=60.0));
    }

    "Limits" {
        /// Largest number of running streams. Further starts get status 503.
        max_streams: usize = setting("MAX_STREAMS", "1000", value::number("a number", 1..=100_000));

        /// Largest number of streams that start at the same time. Others wait in line, for 20 s at
        /// most.
        max_concurrent_starts: usize =
            setting("MAX_CONCURRENT_STARTS", "16", value::number("a number", 1..=10_000));

        /// Largest number of viewers of one stream. If unset, any number.
        max_viewers: Option<usize> =
            setting("MAX_VIEWERS_PER_STREAM", "", value::number("a number", 1..=10_000).optional());
    }

    "HLS" {
        /// Intended length of a segment.
        segment_time: Duration = setting("HLS_SEGMENT_TIME", "2", value::seconds(1.0..=10.0));

        /// Number of segments in the playlist.
        list_size: usize = setting("HLS_LIST_SIZE", "5", value::number("a number", 3..=100));

        /// Intended length of a part. Longer parts mean fewer requests and older pictures.
        part_time: Duration =
            setting("HLS_PART_MILLISECONDS", "100", value::milliseconds(100..=2000))
            .must_be("at most half of HLS_SEGMENT_TIME", |config: &Config| {
                config.part_time * 2 <= config.segment_time
            });
    }

    "Transcoding" {
        /// Treatment of H.265 from cameras without the option `video`. `h264` plays everywhere;
        /// `copy` costs nothing and plays in Safari, and in Chrome and Edge where the device
        /// decodes it.
        hevc: Hevc = setting("HEVC", "h264", value::one_of(HEVC));

        /// Preset of libx264 for video that becomes H.264. Slower presets give smaller video.
        transcode_preset: &'static str =
            setting("TRANSCODE_PRESET", "veryfast", value::one_of(PRESETS.map(|it| (it, it))));

        /// Largest height of video that becomes H.264.
        transcode_max_height: u32 =
            setting("TRANSCODE_MAX_HEIGHT", "1080", value::number("pixels", 120..=4320));

        /// Largest bit rate of video that becomes H.264, over one second.
        transcode_max_kbps: u32 =
            setting("TRANSCODE_MAX_KBPS", "4000", value::number("kbit/s", 100..=100_000));
    }

    "FFmpeg" {
        /// FFmpeg program to run.
        ffmpeg_bin: PathBuf =
            setting("FFMPEG_BIN", "ffmpeg", value::path("the name or path of a program"));

        /// Niceness of each FFmpeg: how far it gives way to other programs when the processor is
        /// busy.
        ffmpeg_nice: i32 = setting("FFMPEG_NICE", "5", value::number("a number", 0..=19));

        /// Largest amount of memory of each FFmpeg. One that needs more ends, with that as the
        /// cause.
        ffmpeg_max_memory: u64 =
            setting("FFMPEG_MAX_MEMORY_MB", "1024", value::mebibytes(64..=65_536));

        /// Largest number of files and connections that each FFmpeg can have open.
        ffmpeg_max_open_files: u64 =
            setting("FFMPEG_MAX_OPEN_FILES", "64", value::number("a number", 16..=65_536));
    }

    "Logging" {
        /// Form of the log lines on standard error.
        log_format: LogFormat = setting("LOG_FORMAT", "text", value::one_of(LOG_FORMATS));

        /// Filter of the log lines.
        log_filter: String = setting("RUST_LOG", "info", value::log_filter());
    }

    "nginx" {
        /// Address on which nginx listens. The manager uses it for one check: an address that other
        /// machines can reach requires `API_KEYS`.
        nginx_bind_addr: String =
            setting("NGINX_BIND_ADDR", "127.0.0.1", value::text("an IP address"));
    }
}
