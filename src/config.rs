//! Settings: environment variables and an optional `.env` file become a [`Config`].
//!
//! Every setting is documented once, in [`SETTINGS`]; tests hold the README and `.env.example`
//! against that table. Nothing else in the program reads the environment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::access::keys::ApiKeys;
use crate::base::host::is_this_machine;
use crate::base::secret::Secret;
use crate::camera::networks::CameraNets;
use crate::camera::plan::Hevc;
use crate::child::spawner::Bounds;

/// One setting as the documentation shows it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// Value used when the variable is unset or empty.
    pub default: &'static str,
    /// What values are allowed, in words.
    pub allowed: &'static str,
    /// What the setting does.
    pub help: &'static str,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, default, allowed, help }
}

/// All settings of the manager, in the order in which the documentation lists them.
pub const SETTINGS: &[Setting] = &[
    setting("PORT", "8088", "a port, 0 to 65535; 0 takes any free one", "Port of the HTTP API."),
    setting("BIND_ADDR", "127.0.0.1", "an IP address", "Address the HTTP API listens on."),
    setting(
        "BIND_SOCKET",
        "",
        "a path",
        "Unix socket on which the HTTP API listens as well, for an nginx that shares the path.",
    ),
    setting(
        "STREAM_DIR",
        "./streams",
        "a directory that can be written; best on a tmpfs",
        "Where segments are written.",
    ),
    setting(
        "DATABASE_URL",
        "sqlite:./streams.db",
        "sqlite: and a file's path",
        "Where the cameras are kept.",
    ),
    setting(
        "SOURCE_KEY",
        "",
        "32 bytes as base64 or hex",
        "Seals the cameras' links and passwords in the database; if unset, a key is kept in a file beside it.",
    ),
    setting(
        "CAMERA_ALLOW_NETS",
        "",
        "networks and addresses, e.g. 192.168.0.0/16, fd00::/8",
        "Where cameras may be; if unset, everywhere that is not denied.",
    ),
    setting(
        "CAMERA_DENY_NETS",
        "",
        "networks and addresses, e.g. 127.0.0.0/8",
        "Where cameras may not be.",
    ),
    setting(
        "API_KEYS",
        "",
        "entries name:role:secret, or @ and a file with them; roles are admin, user and viewer",
        "Who may use the API and watch; if unset, everybody may, on loopback alone.",
    ),
    setting(
        "PLAYBACK_SECRET",
        "",
        "at least 32 characters",
        "Signs playback tokens; if unset, a secret is kept in a file beside the database.",
    ),
    setting(
        "PLAYBACK_PUBLIC_KEYS",
        "",
        "a file with public keys, PEM or JWKS",
        "Keys of back ends that make playback tokens themselves (EdDSA or RS256).",
    ),
    setting(
        "WEBHOOK_URL",
        "",
        "an http or https URL",
        "Where events of streams are sent; if unset, nowhere.",
    ),
    setting(
        "WEBHOOK_SECRET",
        "",
        "at least 32 characters",
        "Signs what is sent to WEBHOOK_URL; if unset, that is not signed.",
    ),
    setting(
        "CLEANUP_DELAY_SECONDS",
        "30",
        "seconds, 1 to 86400",
        "A stream ends this long after its last viewer's last request.",
    ),
    setting(
        "CLEANUP_INTERVAL_SECONDS",
        "10",
        "seconds, 0.1 to 3600",
        "How often streams without viewers are looked for.",
    ),
    setting("HLS_SEGMENT_TIME", "2", "seconds, 1 to 10", "Wanted length of a segment."),
    setting("HLS_LIST_SIZE", "5", "a number, 3 to 100", "Segments that the playlist names."),
    setting(
        "HLS_PART_MILLISECONDS",
        "100",
        "milliseconds, 100 to 2000; at most half of HLS_SEGMENT_TIME",
        "Wanted length of a part.",
    ),
    setting(
        "START_TIMEOUT_SECONDS",
        "15",
        "seconds, 1 to 120",
        "A stream must be playable within this time.",
    ),
    setting(
        "STALE_TIMEOUT_SECONDS",
        "10",
        "seconds, 1 to 300",
        "A live stream whose picture does not advance for this long is restarted.",
    ),
    setting(
        "STOP_GRACE_SECONDS",
        "5",
        "seconds, 0.1 to 60",
        "FFmpeg gets this long to leave after SIGTERM, then SIGKILL.",
    ),
    setting(
        "MAX_STREAMS",
        "1000",
        "a number, 1 to 100000",
        "Streams that may run at once; a further start gets 503.",
    ),
    setting(
        "MAX_CONCURRENT_STARTS",
        "16",
        "a number, 1 to 10000",
        "Streams that may start at once; others wait in line.",
    ),
    setting(
        "MAX_VIEWERS_PER_STREAM",
        "",
        "a number, 1 to 10000",
        "Viewers that one stream may have at once; if unset, any number.",
    ),
    setting(
        "STREAM_DIR_MAX_BYTES",
        "",
        "bytes, at least 16m; k, m and g may stand behind them",
        "No stream starts that would let the segments of all take more; if unset, as long as the disk has room.",
    ),
    setting(
        "TRANSCODE_PRESET",
        "veryfast",
        "a preset of libx264: ultrafast, superfast, veryfast, faster, fast or medium",
        "How video that is not H.264 is turned into it: slower is smaller.",
    ),
    setting(
        "TRANSCODE_MAX_HEIGHT",
        "1080",
        "pixels, 120 to 4320",
        "Video that is turned into H.264 is made this high at most.",
    ),
    setting(
        "TRANSCODE_MAX_KBPS",
        "4000",
        "kilobits a second, 100 to 100000",
        "Video that is turned into H.264 takes this much at most, over a second.",
    ),
    setting(
        "HEVC",
        "h264",
        "h264 or copy",
        "What becomes of H.265 from cameras without a video option: h264 plays everywhere, copy costs nothing and plays where the device can.",
    ),
    setting("FFMPEG_BIN", "ffmpeg", "a program's name or path", "The FFmpeg to run."),
    setting(
        "FFMPEG_NICE",
        "5",
        "a number, 0 to 19",
        "How far each FFmpeg gives way to other programs when the processor is busy.",
    ),
    setting(
        "FFMPEG_MAX_MEMORY_MB",
        "1024",
        "mebibytes, 64 to 65536",
        "Memory that each FFmpeg may take.",
    ),
    setting(
        "FFMPEG_MAX_OPEN_FILES",
        "64",
        "a number, 16 to 65536",
        "Files and connections that each FFmpeg may have open.",
    ),
    setting("LOG_FORMAT", "text", "text or json", "Form of the log lines on stderr."),
    setting(
        "RUST_LOG",
        "info",
        "a tracing filter, e.g. info,stream_manager=debug",
        "What is logged.",
    ),
];

/// A setting that cannot be used. Its text is one line for the operator.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A value that is not allowed.
    #[error("{name}={value:?} cannot be used: {name} is {allowed}")]
    Value {
        /// Name of the setting.
        name: &'static str,
        /// The value as given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A value that is not allowed, told by who reads it.
    #[error("{0}")]
    Told(String),
    /// Two values that are allowed, but not together.
    #[error("{0}")]
    Pair(&'static str),
    /// The environment or the `.env` file cannot be read as text.
    #[error("the settings cannot be read: {0}")]
    Unreadable(String),
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The checked settings. Fields are named after the settings in [`SETTINGS`].
#[derive(Debug, Clone)]
pub struct Config {
    /// `PORT`
    pub port: u16,
    /// `BIND_ADDR`
    pub bind_addr: IpAddr,
    /// `BIND_SOCKET`
    pub bind_socket: Option<PathBuf>,
    /// `STREAM_DIR`
    pub stream_dir: PathBuf,
    /// `DATABASE_URL`
    pub database_url: String,
    /// `SOURCE_KEY`
    pub source_key: Option<Secret>,
    /// `CAMERA_ALLOW_NETS` and `CAMERA_DENY_NETS`
    pub camera_nets: CameraNets,
    /// `API_KEYS`
    pub api_keys: ApiKeys,
    /// `PLAYBACK_SECRET`
    pub playback_secret: Option<Secret>,
    /// `PLAYBACK_PUBLIC_KEYS`
    pub playback_public_keys: Option<PathBuf>,
    /// `WEBHOOK_URL`, which may have a token in it.
    pub webhook_url: Option<Secret>,
    /// `WEBHOOK_SECRET`
    pub webhook_secret: Option<Secret>,
    /// `NGINX_BIND_ADDR`, which is no setting of the manager's; but what it lets nginx show counts.
    pub nginx_bind_addr: Option<String>,
    /// `NEW_SOURCE_KEY`, for `rotate-key` alone and so no setting of the service.
    pub new_source_key: Option<Secret>,
    /// `CLEANUP_DELAY_SECONDS`
    pub idle_timeout: Duration,
    /// `CLEANUP_INTERVAL_SECONDS`
    pub cleanup_interval: Duration,
    /// `HLS_SEGMENT_TIME`
    pub segment_time: Duration,
    /// `HLS_LIST_SIZE`
    pub list_size: usize,
    /// `HLS_PART_MILLISECONDS`
    pub part_time: Duration,
    /// `START_TIMEOUT_SECONDS`
    pub start_timeout: Duration,
    /// `STALE_TIMEOUT_SECONDS`
    pub stale_timeout: Duration,
    /// `STOP_GRACE_SECONDS`
    pub stop_grace: Duration,
    /// `MAX_STREAMS`
    pub max_streams: usize,
    /// `MAX_CONCURRENT_STARTS`
    pub max_concurrent_starts: usize,
    /// `MAX_VIEWERS_PER_STREAM`
    pub max_viewers: Option<usize>,
    /// `STREAM_DIR_MAX_BYTES`
    pub stream_dir_max_bytes: Option<u64>,
    /// `TRANSCODE_PRESET`
    pub transcode_preset: String,
    /// `TRANSCODE_MAX_HEIGHT`
    pub transcode_max_height: u32,
    /// `TRANSCODE_MAX_KBPS`
    pub transcode_max_bit_rate: u32,
    /// `HEVC`
    pub hevc: Hevc,
    /// `FFMPEG_BIN`
    pub ffmpeg_bin: PathBuf,
    /// `FFMPEG_NICE`, `FFMPEG_MAX_MEMORY_MB` and `FFMPEG_MAX_OPEN_FILES`
    pub ffmpeg_bounds: Bounds,
    /// `LOG_FORMAT`
    pub log_format: LogFormat,
    /// `RUST_LOG`
    pub log_filter: String,
}

impl Config {
    /// Reads the environment, and `.env` in the working directory for what the environment does
    /// not set.
    pub fn load() -> Result<Self, ConfigError> {
        let mut vars = dotenv_file()?;
        vars.extend(std::env::vars_os().filter_map(|(name, value)| {
            // A variable that is not text is none of ours, whatever it is.
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        Self::from_vars(vars)
    }

    /// Builds the settings from name and value pairs. Of pairs with the same name the last counts;
    /// an empty value counts as unset, as container files that list every variable expect.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let values = envy::from_iter::<_, HashMap<String, String>>(vars)
            .map_err(|error| ConfigError::Unreadable(error.to_string()))?;
        let vars = Vars(values);
        let config = Self {
            port: vars.parsed("PORT", |_: &u16| true)?,
            bind_addr: vars.parsed("BIND_ADDR", |_: &IpAddr| true)?,
            bind_socket: vars.given("BIND_SOCKET").map(PathBuf::from),
            stream_dir: vars.parsed("STREAM_DIR", |_: &PathBuf| true)?,
            database_url: vars.database_url()?,
            source_key: vars.secret("SOURCE_KEY"),
            camera_nets: vars.camera_nets()?,
            api_keys: vars.api_keys()?,
            nginx_bind_addr: vars.given("NGINX_BIND_ADDR").map(str::to_owned),
            playback_secret: vars.secret("PLAYBACK_SECRET"),
            playback_public_keys: vars.given("PLAYBACK_PUBLIC_KEYS").map(PathBuf::from),
            webhook_url: vars.secret("WEBHOOK_URL"),
            webhook_secret: vars.secret("WEBHOOK_SECRET"),
            new_source_key: vars.secret("NEW_SOURCE_KEY"),
            idle_timeout: vars.seconds("CLEANUP_DELAY_SECONDS", 1.0, 86_400.0)?,
            cleanup_interval: vars.seconds("CLEANUP_INTERVAL_SECONDS", 0.1, 3600.0)?,
            segment_time: vars.seconds("HLS_SEGMENT_TIME", 1.0, 10.0)?,
            list_size: vars.parsed("HLS_LIST_SIZE", |n| (3..=100).contains(n))?,
            part_time: vars
                .parsed("HLS_PART_MILLISECONDS", |ms| (100..=2000).contains(ms))
                .map(Duration::from_millis)?,
            start_timeout: vars.seconds("START_TIMEOUT_SECONDS", 1.0, 120.0)?,
            stale_timeout: vars.seconds("STALE_TIMEOUT_SECONDS", 1.0, 300.0)?,
            stop_grace: vars.seconds("STOP_GRACE_SECONDS", 0.1, 60.0)?,
            max_streams: vars.parsed("MAX_STREAMS", |n| (1..=100_000).contains(n))?,
            max_concurrent_starts: vars
                .parsed("MAX_CONCURRENT_STARTS", |n| (1..=10_000).contains(n))?,
            max_viewers: vars.optional("MAX_VIEWERS_PER_STREAM", |n| (1..=10_000).contains(n))?,
            stream_dir_max_bytes: vars
                .optional("STREAM_DIR_MAX_BYTES", |Bytes(bytes)| *bytes >= 16 << 20)?
                .map(|Bytes(bytes)| bytes),
            transcode_preset: vars.parsed("TRANSCODE_PRESET", |preset: &String| {
                ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]
                    .contains(&preset.as_str())
            })?,
            transcode_max_height: vars
                .parsed("TRANSCODE_MAX_HEIGHT", |height| (120..=4320).contains(height))?,
            transcode_max_bit_rate: vars
                .parsed("TRANSCODE_MAX_KBPS", |rate| (100..=100_000).contains(rate))?,
            hevc: vars.parsed("HEVC", |_: &Hevc| true)?,
            ffmpeg_bin: vars.parsed("FFMPEG_BIN", |_: &PathBuf| true)?,
            ffmpeg_bounds: Bounds {
                nice: vars.parsed("FFMPEG_NICE", |n| (0..=19).contains(n))?,
                memory: vars
                    .parsed("FFMPEG_MAX_MEMORY_MB", |n| (64..=65_536).contains(n))
                    .map(|mebibytes: u64| mebibytes << 20)?,
                open_files: vars.parsed("FFMPEG_MAX_OPEN_FILES", |n| (16..=65_536).contains(n))?,
            },
            log_format: vars.parsed("LOG_FORMAT", |_: &LogFormat| true)?,
            log_filter: vars.parsed("RUST_LOG", |filter: &String| {
                tracing_subscriber::EnvFilter::try_new(filter).is_ok()
            })?,
        };
        config.check_pairs()?;
        config.check_exposure()?;
        Ok(config)
    }

    /// Without keys everybody who reaches the service may do everything.
    fn check_exposure(&self) -> Result<(), ConfigError> {
        let nginx = self.nginx_bind_addr.as_deref().unwrap_or("localhost");
        let manager = self.bind_addr.to_string();
        let exposed = [("BIND_ADDR", manager.as_str()), ("NGINX_BIND_ADDR", nginx)]
            .into_iter()
            .find(|(_, address)| !is_this_machine(address));
        match exposed {
            Some((name, address)) if self.api_keys.is_empty() => Err(ConfigError::Told(format!(
                "{name}={address} can be reached from other machines, and API_KEYS is empty: set \
                 it, e.g. API_KEYS=me:admin:$(openssl rand -hex 16)"
            ))),
            _ => Ok(()),
        }
    }

    fn check_pairs(&self) -> Result<(), ConfigError> {
        let pairs = [
            (
                self.part_time * 2 <= self.segment_time,
                "HLS_PART_MILLISECONDS must be at most half of HLS_SEGMENT_TIME",
            ),
            (
                self.part_time * 3 <= self.stale_timeout,
                "STALE_TIMEOUT_SECONDS must be at least three times HLS_PART_MILLISECONDS",
            ),
            (
                self.segment_time <= self.idle_timeout,
                "CLEANUP_DELAY_SECONDS must be at least HLS_SEGMENT_TIME",
            ),
        ];
        match pairs.iter().find(|(is_allowed, _)| !is_allowed) {
            Some((_, reason)) => Err(ConfigError::Pair(reason)),
            None => Ok(()),
        }
    }
}

/// A number of bytes.
struct Bytes(u64);

impl FromStr for Bytes {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.to_ascii_lowercase();
        let number = text.trim_end_matches(['k', 'm', 'g']);
        let shift = match &text[number.len()..] {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            _ => return Err(()),
        };
        let number: u64 = number.parse().map_err(drop)?;
        number.checked_mul(1 << shift).map(Self).ok_or(())
    }
}

impl FromStr for Hevc {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "h264" => Ok(Self::ToH264),
            "copy" => Ok(Self::Copy),
            _ => Err(()),
        }
    }
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

fn dotenv_file() -> Result<HashMap<String, String>, ConfigError> {
    match dotenvy::from_filename_iter(".env") {
        Ok(entries) => entries
            .collect::<Result<_, _>>()
            .map_err(|_| ConfigError::Unreadable(".env has a line that is not NAME=value".into())),
        Err(error) if error.not_found() => Ok(HashMap::new()),
        Err(error) => Err(ConfigError::Unreadable(format!(".env: {error}"))),
    }
}

/// The variables by lower-case name, as envy hands them over.
struct Vars(HashMap<String, String>);

impl Vars {
    fn parsed<T: FromStr>(
        &self,
        name: &str,
        is_allowed: impl Fn(&T) -> bool,
    ) -> Result<T, ConfigError> {
        #[expect(clippy::expect_used, reason = "a name missing from the table fails every start")]
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .expect("every setting stands in SETTINGS");
        let value = self.given(name).unwrap_or(setting.default);
        value.parse().ok().filter(is_allowed).ok_or_else(|| ConfigError::Value {
            name: setting.name,
            value: value.to_owned(),
            allowed: setting.allowed,
        })
    }

    /// A setting whose default is that there is none.
    fn optional<T: FromStr>(
        &self,
        name: &str,
        is_allowed: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, ConfigError> {
        self.given(name).map(|_| self.parsed(name, is_allowed)).transpose()
    }

    fn given(&self, name: &str) -> Option<&str> {
        let given = self.0.get(&name.to_ascii_lowercase()).map(|value| value.trim());
        given.filter(|value| !value.is_empty())
    }

    /// A value that no message may repeat. Who uses it, checks it.
    fn secret(&self, name: &str) -> Option<Secret> {
        self.given(name).map(|value| Secret::new(value))
    }

    /// Not repeated when it cannot be used: those of other databases hold passwords.
    fn database_url(&self) -> Result<String, ConfigError> {
        let url: String = self.parsed("DATABASE_URL", |_| true)?;
        if url.starts_with("sqlite:") {
            return Ok(url);
        }
        Err(ConfigError::Told(
            "DATABASE_URL cannot be used: sqlite: and a file's path is wanted".into(),
        ))
    }

    fn camera_nets(&self) -> Result<CameraNets, ConfigError> {
        let given = |name| self.given(name).unwrap_or_default();
        CameraNets::parse(given("CAMERA_ALLOW_NETS"), given("CAMERA_DENY_NETS")).map_err(|reason| {
            ConfigError::Told(format!("CAMERA_ALLOW_NETS or CAMERA_DENY_NETS: {reason}"))
        })
    }

    fn api_keys(&self) -> Result<ApiKeys, ConfigError> {
        ApiKeys::load(self.given("API_KEYS").unwrap_or_default())
            .map_err(|reason| ConfigError::Told(format!("API_KEYS cannot be used: {reason}")))
    }

    fn seconds(&self, name: &str, min: f64, max: f64) -> Result<Duration, ConfigError> {
        let seconds = self.parsed(name, |seconds: &f64| (min..=max).contains(seconds))?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_vars(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn defaults_are_usable() {
        let config = config(&[]).expect("the defaults");
        assert_eq!(config.port, 8088);
        assert_eq!(config.idle_timeout, Duration::from_secs(30));
        assert_eq!(config.part_time, Duration::from_millis(100));
    }

    #[test]
    fn values_are_read_and_empty_means_unset() {
        let config = config(&[("PORT", "0"), ("CLEANUP_DELAY_SECONDS", "2.5"), ("BIND_ADDR", "")])
            .expect("allowed values");
        assert_eq!(config.port, 0);
        assert_eq!(config.idle_timeout, Duration::from_millis(2500));
        assert!(config.bind_addr.is_loopback());
    }

    #[test]
    fn bytes_may_be_written_short() {
        let bytes =
            |value| config(&[("STREAM_DIR_MAX_BYTES", value)]).expect(value).stream_dir_max_bytes;
        for (value, expected) in [
            ("", None),
            ("20000000", Some(20_000_000)),
            ("20000K", Some(20_480_000)),
            ("16m", Some(16 << 20)),
            ("1g", Some(1 << 30)),
        ] {
            assert_eq!(bytes(value), expected, "{value}");
        }
    }

    #[test]
    fn an_unusable_value_names_setting_value_and_what_is_allowed() {
        let table = [
            ("PORT", "http"),
            ("PORT", "65536"),
            ("BIND_ADDR", "localhost"),
            ("CLEANUP_DELAY_SECONDS", "0"),
            ("CLEANUP_DELAY_SECONDS", "NaN"),
            ("HLS_LIST_SIZE", "2"),
            ("HLS_PART_MILLISECONDS", "99"),
            ("STOP_GRACE_SECONDS", "-1"),
            ("MAX_STREAMS", "many"),
            ("MAX_CONCURRENT_STARTS", "0"),
            ("MAX_VIEWERS_PER_STREAM", "0"),
            ("STREAM_DIR_MAX_BYTES", "1mm"),
            ("STREAM_DIR_MAX_BYTES", "15m"),
            ("STREAM_DIR_MAX_BYTES", "99999999999g"),
            ("FFMPEG_NICE", "-1"),
            ("TRANSCODE_PRESET", "placebo; rm"),
            ("TRANSCODE_MAX_HEIGHT", "99"),
            ("HEVC", "maybe"),
            ("LOG_FORMAT", "xml"),
            ("RUST_LOG", "stream_manager=loud"),
        ];
        for (name, value) in table {
            let error = config(&[(name, value)]).expect_err(name).to_string();
            let setting = SETTINGS.iter().find(|setting| setting.name == name).expect(name);
            assert!(error.contains(name) && error.contains(value), "{error}");
            assert!(error.contains(setting.allowed), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn without_keys_only_loopback() {
        let key = ("API_KEYS", "me:admin:0123456789abcdef");
        for exposed in
            [("BIND_ADDR", "0.0.0.0"), ("NGINX_BIND_ADDR", "192.0.2.1"), ("BIND_ADDR", "::")]
        {
            let error = config(&[exposed]).expect_err(exposed.0).to_string();
            assert!(error.contains(exposed.0) && error.contains("API_KEYS"), "{error}");
            config(&[exposed, key]).expect("with a key");
        }
        config(&[("BIND_ADDR", "::1"), ("NGINX_BIND_ADDR", "127.0.0.1")]).expect("loopback");
        let error = config(&[("API_KEYS", "me:admin:short-secret")]).expect_err("a short one");
        assert!(!error.to_string().contains("short-secret"), "{error}");
        let error = config(&[("CAMERA_DENY_NETS", "10.0.0.0/99")]).expect_err("no network");
        assert!(error.to_string().contains("10.0.0.0/99"), "{error}");
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        for vars in [
            [("HLS_PART_MILLISECONDS", "2000"), ("HLS_SEGMENT_TIME", "1")],
            [("HLS_PART_MILLISECONDS", "1000"), ("STALE_TIMEOUT_SECONDS", "1")],
            [("HLS_SEGMENT_TIME", "10"), ("CLEANUP_DELAY_SECONDS", "5")],
        ] {
            let error = config(&vars).expect_err(vars[0].0).to_string();
            assert!(error.contains(vars[0].0) && error.contains(vars[1].0), "{error}");
        }
    }

    #[test]
    fn readme_and_env_example_list_every_setting_with_its_default() {
        let readme = include_str!("../README.md");
        let example = include_str!("../.env.example");
        for setting in SETTINGS {
            let row = format!("| `{}` | `{}` |", setting.name, setting.default);
            assert!(readme.contains(&row), "README.md has no row that begins {row}");
            let line = format!("{}={}", setting.name, setting.default);
            assert!(example.lines().any(|l| l == line), ".env.example has no line {line}");
        }
    }

    #[test]
    fn docker_compose_passes_every_setting_on_that_is_not_the_images() {
        let compose = include_str!("../docker-compose.yml");
        let images =
            ["PORT", "BIND_ADDR", "BIND_SOCKET", "STREAM_DIR", "DATABASE_URL", "FFMPEG_BIN"];
        for setting in SETTINGS {
            let line = format!("      {}:", setting.name);
            let is_passed = compose.lines().any(|l| l == line);
            assert_eq!(is_passed, !images.contains(&setting.name), "{}", setting.name);
        }
    }
}
