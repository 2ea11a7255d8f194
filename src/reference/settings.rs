//! `.env.example` and the reference page of settings.

use super::{GENERATED, code_list, head, row};
use crate::config::{self, Description};
use crate::{playback, webhooks};

const ABOUT_ENV_EXAMPLE: &str = "\
# Copy this file to .env and change what you need. It shows the defaults; an empty or missing value
# means the default. The environment takes precedence over .env.
# docs/reference/settings.md has the same list as tables. Both are generated from the code.
";

const ABOUT: &str = "
# Settings

The manager reads its settings from the environment and from `.env` in the working directory or in the
nearest directory above it. The environment takes precedence. An empty value counts as unset. Values in `.env` can
have quotes around them. Values in the environment cannot; shells and systemd remove quotes, but Docker's
`--env-file` and Kubernetes do not. If settings have invalid values, the manager prints one line for each of these
settings, with the allowed values, and ends with exit code 64. Values in seconds can have decimals.
";

/// The group of settings for nginx and its deployment.
const NGINX: &str = "nginx";
const ABOUT_NGINX: &str = "\
`deploy/run` and Docker Compose read these settings; the manager reads only `NGINX_BIND_ADDR` and `NGINX_PORT`. See
[Deployment](../guide/deployment.md#docker-compose) and [nginx](../guide/nginx.md#allow-other-origins).

";

/// The settings that the manager does not read: name, default, allowed values and help.
const OTHERS: [[&str; 4]; 7] = [
    [
        "CORS_ORIGINS",
        "*",
        "origins, separated by spaces, or *",
        "Origins whose web pages can play streams and use the API. With `*`, pages of all origins can play \
         streams, but only pages of nginx's own origin can use the API.",
    ],
    [
        "FRAME_ANCESTORS",
        "",
        "origins, separated by spaces",
        "Origins whose pages can show the page in a frame, in addition to nginx's own origin.",
    ],
    [
        "HSTS_SECONDS",
        "",
        "seconds; unset if TLS is self-signed",
        "How long browsers use only HTTPS for the host after they have received the page. If unset, browsers also \
         use HTTP. Needs `TLS_CERT`, or a `PUBLIC_URL` that begins with `https`.",
    ],
    [
        "NGINX_ACCESS_LOG",
        "",
        "a file, or syslog: with nginx's parameters",
        "Target of nginx's access log. If unset, `deploy/run` writes no access log, and Docker Compose uses \
         `/dev/stdout`.",
    ],
    [
        "NGINX_ERROR_LOG",
        "stderr",
        "a file, stderr, or syslog: with nginx's parameters",
        "Target of nginx's error log.",
    ],
    [
        "NGINX_HTTP_LISTEN",
        "",
        "an address and a port, or a port",
        "A further port, on which nginx only redirects HTTP to HTTPS. The target is the host of `PUBLIC_URL` or, if \
         `PUBLIC_URL` is unset, port 443 of the requested host. Has no effect without TLS.",
    ],
    [
        "STREAMS_SIZE",
        "1g",
        "bytes; the suffixes k, m and g are allowed",
        "Largest amount of memory for all segments. Only Docker Compose reads this setting.",
    ],
];

/// Returns all settings, including the settings of other programs.
fn all() -> Vec<Description> {
    let mut settings = config::descriptions();
    settings.extend(OTHERS.map(|[name, default, allowed, help]| Description {
        group: NGINX,
        name,
        default,
        allowed: allowed.to_owned(),
        help: help.to_owned(),
    }));
    settings
}

/// Renders `.env.example`.
pub(super) fn env_example() -> String {
    let mut text = ABOUT_ENV_EXAMPLE.to_owned();
    for group in all().chunk_by(|one, next| one.group == next.group) {
        text.extend(["\n# ---- ", group[0].group, " ----\n"]);
        for Description { name, default, allowed, help, .. } in group {
            text += "\n";
            text += &comment(&help.replace('`', ""));
            text += &comment(&format!("Allowed: {allowed}"));
            text.extend([name, "=", default, "\n"]);
        }
    }
    text
}

/// Returns `text` as comment lines of at most 100 characters.
fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(' ') {
        if lines.last().is_none_or(|line| line.len() + 1 + word.len() > 100) {
            lines.push("#".to_owned());
        }
        let line = lines.last_mut().expect("a line");
        line.push(' ');
        line.push_str(word);
    }
    lines.join("\n") + "\n"
}

/// Renders the page of settings.
pub(super) fn page() -> String {
    let mut text = GENERATED.to_owned() + ABOUT;
    for group in all().chunk_by(|one, next| one.group == next.group) {
        text.extend(["\n## ", group[0].group, "\n\n"]);
        if group[0].group == NGINX {
            text += ABOUT_NGINX;
        }
        text += &head(["Setting", "Default", "Allowed values", "Description"]);
        for Description { name, default, allowed, help, .. } in group {
            let default = code_list((!default.is_empty()).then_some(*default));
            text += &row([&format!("`{name}`"), &default, allowed, help]);
        }
    }
    text
}

#[test]
fn the_env_example_is_a_valid_env_file_with_all_defaults() {
    let example = env_example();
    let vars = dotenvy::from_read_iter(example.as_bytes()).map(|line| line.expect("a line"));
    let vars: Vec<_> = vars.collect();
    for Description { name, default, .. } in all() {
        assert!(vars.contains(&(name.to_owned(), default.to_owned())), "{name}");
    }
    config::Config::from_vars(vars).expect("the defaults");
}

#[test]
fn sessions_are_kept_for_the_largest_allowed_clock_skew() {
    let max = playback::token::MAX_CLOCK_SKEW;
    let settings = config::descriptions();
    let setting = settings.iter().find(|it| it.name == "PLAYBACK_CLOCK_SKEW_SECONDS");
    assert_eq!(setting.expect("a setting").allowed, format!("whole seconds, 0 to {max}"));
}

#[test]
fn the_documented_lengths_of_secrets_are_the_enforced_lengths() {
    for (name, length) in [
        ("PLAYBACK_SECRET", playback::token::MIN_SECRET_LENGTH),
        ("WEBHOOK_SECRET", webhooks::signature::MIN_SECRET_LENGTH),
    ] {
        let settings = config::descriptions();
        let setting = settings.iter().find(|setting| setting.name == name).expect(name);
        assert_eq!(setting.allowed, format!("at least {length} characters"), "{name}");
    }
}
