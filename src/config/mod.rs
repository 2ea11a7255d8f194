//! Settings: environment variables and an optional `.env` file become a [`Config`].
//!
//! | Module | Owns |
//! |---|---|
//! | `settings` | the declaration of each setting |
//! | `declare` | how a setting is declared, and what is derived from the declarations |
//! | `value` | kinds of values: numbers in a range, times, paths, secrets |
//! | `ice_server` | the STUN and TURN servers for WebRTC |
//! | `offsite_url` | the place for copies of recordings |
//! | `load` | reading the environment and `.env` |
//!
//! `crate::reference` renders the documentation of the settings.
//!
//! No other module reads settings from the environment. Each part of the program has a struct for the
//! settings that it needs, and `crate::app` creates these structs from the [`Config`].

mod declare;
mod ice_server;
mod load;
mod offsite_url;
mod settings;
mod value;

pub(crate) use ice_server::IceServer;
pub(crate) use load::ConfigError;
pub(crate) use offsite_url::OffsiteUrl;
pub use settings::Config;
pub(crate) use settings::{CopiedStreams, LogFormat, Tls};
pub(crate) use value::{CookieAttributes, TlsNames, is_contact};

pub(crate) use load::{api_key, camera_password, file_variable, variable_names};
pub(crate) use settings::descriptions;

#[cfg(test)]
pub(crate) use declare::Description;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_vars(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    fn refused(vars: &[(&str, &str)]) -> String {
        config(vars).expect_err(vars[0].0).to_string()
    }

    #[test]
    fn defaults_are_usable() {
        let config = config(&[]).expect("the defaults");
        assert_eq!(config.port, 8088);
        assert_eq!(config.idle_timeout, Duration::from_secs(30));
        assert_eq!(config.part_time, Duration::from_millis(100));
        assert_eq!(config.ffmpeg_max_memory, 1 << 30);
        assert!(config.source_key.is_none() && config.max_viewers.is_none());
    }

    #[test]
    fn values_are_read_and_an_empty_value_means_unset() {
        let config = config(&[("PORT", "0"), ("CLEANUP_DELAY_SECONDS", "2.5"), ("BIND_ADDR", "")])
            .expect("allowed values");
        assert_eq!(config.port, 0);
        assert_eq!(config.idle_timeout, Duration::from_millis(2500));
        assert!(config.bind_addr.is_loopback());
    }

    #[test]
    fn names_are_case_insensitive_and_the_last_value_is_used() {
        let config = config(&[("PORT", "1"), ("port", " 2 ")]).expect("allowed values");
        assert_eq!(config.port, 2);
    }

    #[test]
    fn bytes_can_be_written_with_a_suffix() {
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
    fn a_message_contains_the_setting_the_value_and_the_allowed_values() {
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
        let settings = descriptions();
        for (name, value) in table {
            let error = refused(&[(name, value)]);
            let setting = settings.iter().find(|setting| setting.name == name).expect(name);
            assert!(error.contains(name) && error.contains(value), "{error}");
            assert!(error.contains(&setting.allowed), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn values_in_quotes_are_refused_without_showing_secrets() {
        for (name, value) in [
            ("STREAM_DIR", "\"/streams\""),
            ("FFMPEG_BIN", "'ffmpeg'"),
            ("PLAYBACK_SECRET", "\"hidden-hidden-hidden-hidden-hidden\""),
            ("PORT", "\"8088\""),
        ] {
            let error = refused(&[(name, value)]);
            assert!(error.contains(name) && error.contains("quotes"), "{error}");
            assert!(!error.contains("hidden"), "{error}");
        }
        config(&[("STREAM_DIR", "\"")]).expect("a single quotation mark");
    }

    #[test]
    fn all_invalid_values_are_reported() {
        let error = refused(&[("PORT", "x"), ("HEVC", "y"), ("MAX_STREAMS", "1")]);
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{error}");
        assert!(lines[0].contains("PORT") && lines[1].contains("HEVC"), "{error}");
    }

    #[test]
    fn if_callers_need_no_key_only_loopback_addresses_are_allowed() {
        let key = ("API_KEYS", "me:admin:0123456789abcdef");
        let anonymous = ("ALLOW_ANONYMOUS", "true");
        for exposed in
            [("BIND_ADDR", "0.0.0.0"), ("NGINX_BIND_ADDR", "192.0.2.1"), ("BIND_ADDR", "::")]
        {
            let error = refused(&[exposed, anonymous]);
            assert!(error.contains(exposed.0) && error.contains("ALLOW_ANONYMOUS"), "{error}");
            config(&[exposed, anonymous, key]).expect("with a key");
            config(&[exposed]).expect("with the key that the manager creates");
        }
        for (bind, nginx) in [("::1", "127.0.0.1"), ("[::1]", "[::1]"), ("127.0.0.1", "::1")] {
            let loopback = [("BIND_ADDR", bind), ("NGINX_BIND_ADDR", nginx), anonymous];
            config(&loopback).expect("loopback");
        }
        for invalid in ["[127.0.0.1]", "[::1", "::1]", "[[::1]]", "localhost"] {
            assert!(refused(&[("BIND_ADDR", invalid)]).contains("BIND_ADDR"), "{invalid}");
        }
        let error = refused(&[("CAMERA_DENY_NETS", "10.0.0.0/99")]);
        assert!(error.contains("\"10.0.0.0/99\" is neither a network"), "{error}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = config(&[("API_KEYS", "hidden"), ("WEBHOOK_URL", "hidden")]).expect("strings");
        assert!(!format!("{config:?}").contains("hidden"), "{config:?}");
        for endpoint in ["http://u:hidden@h:1", "http://:hidden@h"] {
            let error = refused(&[("OFFSITE_ENDPOINT", endpoint)]);
            assert!(error.contains("OFFSITE_ENDPOINT") && !error.contains("hidden"), "{error}");
        }
        let error = refused(&[("DATABASE_URL", "mysql://u:hidden@h/x")]);
        assert!(error.contains("DATABASE_URL") && !error.contains("hidden"), "{error}");
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        for vars in [
            [("HLS_PART_MILLISECONDS", "2000"), ("HLS_SEGMENT_TIME", "1")],
            [("HLS_PART_MILLISECONDS", "1000"), ("STALE_TIMEOUT_SECONDS", "1")],
            [("HLS_SEGMENT_TIME", "10"), ("CLEANUP_DELAY_SECONDS", "5")],
        ] {
            let error = refused(&vars);
            assert!(error.contains(vars[0].0) && error.contains(vars[1].0), "{error}");
        }
    }

    #[test]
    fn a_setting_is_declared_once_and_its_name_is_hidden_from_children() {
        let source = include_str!("settings.rs");
        let settings = descriptions();
        let names: BTreeSet<_> = settings.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), settings.len(), "two settings share a name");
        assert_eq!(source.matches("setting(\"").count(), settings.len());
        let hidden = variable_names();
        assert!(names.iter().all(|name| hidden.contains(name)), "{hidden:?}");
    }

    #[test]
    fn docker_compose_passes_every_setting_that_the_image_does_not_set() {
        let compose = include_str!("../../docker-compose.yml");
        let images = [
            "PORT",
            "BIND_ADDR",
            "BIND_SOCKET",
            "STREAM_DIR",
            "DATABASE_URL",
            "FFMPEG_BIN",
            "TLS_DIR",
        ];
        // nginx runs in a separate container, and only a command reads the new key.
        let others = ["NGINX_BIND_ADDR", "NEW_SOURCE_KEY"];
        for setting in descriptions() {
            let line = format!("      {}:", setting.name);
            let is_passed = compose.lines().any(|l| l == line);
            let is_left_out = images.contains(&setting.name) || others.contains(&setting.name);
            assert_eq!(is_passed, !is_left_out, "{}", setting.name);
        }
    }
}
