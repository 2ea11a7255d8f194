//! Creates the settings of each part of the manager from the [`Config`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::base::secret::Secret;
use crate::child::spawner::Bounds;
use crate::config::{Config, CookieAttributes, CopiedStreams, IceServer, OffsiteUrl, is_contact};
use crate::ingest::ffmpeg::args::{self, Shape, Transcode};
use crate::ingest::ffmpeg::settings::FfmpegSettings;
use crate::offsite::bucket::BucketSettings;
use crate::offsite::place::PlaceSettings;
use crate::offsite::shared::OffsiteSettings;
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::recorder::copies::Copies;
use crate::output::recorder::retention;
use crate::output::webrtc::running::WebRtcSettings;
use crate::push::PushSettings;
use crate::store::db::recording_writes::CopyRule;
use crate::store::event_log::EventLimits;
use crate::stream::limits::Limits;
use crate::webhooks::WebhookSettings;

pub(super) fn webhooks(config: &Config) -> WebhookSettings {
    WebhookSettings { url: config.webhook_url.clone(), secret: config.webhook_secret.clone() }
}

pub(super) fn push(config: &Config) -> PushSettings {
    let page = Some(config.public_url.url("/")).filter(|url| is_contact(url));
    PushSettings {
        contact: config.push_contact.clone().or(page),
        allow_nets: config.push_allow_nets.clone(),
    }
}

pub(super) fn events(config: &Config) -> EventLimits {
    let keep = Duration::from_hours(24 * config.events_keep_days);
    EventLimits { keep, max: config.events_max_count }
}

pub(super) fn recording_limits(config: &Config) -> retention::Limits {
    retention::Limits {
        keep_days: config.recordings_keep_days,
        keep_event_days: None,
        max_bytes: config.recordings_max_bytes,
    }
}

/// Returns which files are copied to another place.
pub(super) fn copies(config: &Config) -> Copies {
    let rule =
        |is_copied: bool| match (config.offsite_url.is_some() && is_copied, config.offsite_files) {
            (false, _) => CopyRule::Never,
            (true, true) => CopyRule::WithEvent,
            (true, false) => CopyRule::Always,
        };
    let streams = config.offsite_streams;
    Copies::new(rule(streams != CopiedStreams::Sub), rule(streams != CopiedStreams::Main))
}

/// Returns the place for copies; `None` without `OFFSITE_URL`. Blocks while it reads the file with the key.
pub(super) fn offsite(config: &Config) -> io::Result<Option<OffsiteSettings>> {
    let Some(url) = &config.offsite_url else { return Ok(None) };
    let place = match url {
        OffsiteUrl::Directory(path) => PlaceSettings::Share(path.clone()),
        OffsiteUrl::Bucket { bucket, prefix } => PlaceSettings::Bucket(BucketSettings {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            endpoint: config.offsite_endpoint.clone(),
            region: config.offsite_region.clone(),
            access_key: config.offsite_access_key.clone().unwrap_or_default(),
            secret_key: secret(config.offsite_secret_key.as_ref())?,
        }),
    };
    let keep = |days: u32| Duration::from_hours(24 * u64::from(days));
    Ok(Some(OffsiteSettings {
        place,
        keep: config.offsite_keep_days.map(keep),
        max_bytes_per_second: config.offsite_max_kbps.map(|kbps| kbps * 125),
    }))
}

/// Returns a secret, which a setting contains, or the file whose path follows an `@`.
fn secret(setting: Option<&Secret>) -> io::Result<Secret> {
    let text = setting.map_or("", Secret::expose);
    match text.strip_prefix('@') {
        Some(path) => Ok(Secret::new(std::fs::read_to_string(path)?.trim())),
        None => Ok(Secret::new(text)),
    }
}

pub(super) fn ffmpeg(config: &Config) -> FfmpegSettings {
    FfmpegSettings {
        program: config.ffmpeg_bin.clone(),
        nets: config.camera_nets(),
        start_timeout: config.start_timeout,
        stale_timeout: config.stale_timeout,
    }
}

pub(super) fn shape(config: &Config) -> Shape {
    Shape {
        segment_time: config.segment_time,
        transcode: Transcode {
            preset: config.transcode_preset.to_owned(),
            max_height: config.transcode_max_height,
            max_bit_rate: config.transcode_max_kbps,
        },
    }
}

pub(super) fn bounds(config: &Config) -> Bounds {
    Bounds {
        nice: config.ffmpeg_nice,
        memory: config.ffmpeg_max_memory,
        open_files: config.ffmpeg_max_open_files,
    }
}

pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        start_timeout: config.start_timeout,
        stale_timeout: config.stale_timeout,
        stalled_after: args::socket_timeout(config.start_timeout, config.stale_timeout),
        idle_timeout: config.idle_timeout,
        stop_grace: config.stop_grace,
        max_viewers: config.max_viewers,
    }
}

pub(super) fn segment_policy(config: &Config) -> SegmentPolicy {
    SegmentPolicy {
        segment_time: config.segment_time,
        part_time: config.part_time,
        list_size: config.list_size,
    }
}

pub(super) fn webrtc(config: &Config) -> WebRtcSettings {
    WebRtcSettings { port: config.webrtc_port, addresses: config.webrtc_addresses.0.clone() }
}

/// Returns the values of the header `Link` with the ICE servers that players can use.
pub(super) fn ice_servers(config: &Config) -> Vec<String> {
    config.webrtc_ice_servers.0.iter().map(IceServer::link).collect()
}

/// Returns the attributes of cookies with playback tokens: `PLAYBACK_COOKIE_ATTRIBUTES` or, if that is unset,
/// attributes with which browsers send the cookies only for media. The cookies are also marked `Secure` if the
/// settings show that browsers reach the service over HTTPS.
pub(super) fn cookie_attributes(config: &Config) -> CookieAttributes {
    let default = || CookieAttributes {
        text: format!("Path={}; SameSite=Lax", config.public_url.path("/streams")),
        is_secure: false,
    };
    let mut attributes = config.playback_cookie_attributes.clone().unwrap_or_else(default);
    attributes.is_secure |= config.has_tls() || config.public_url.is_https();
    attributes
}

/// Returns the address of the page: `PUBLIC_URL` or, if that is unset, an address for a browser on this machine.
pub(super) fn page_url(config: &Config) -> String {
    if config.public_url.is_known() {
        return config.public_url.url("/");
    }
    let port = config.nginx_port;
    let scheme = if config.has_tls() { "https" } else { "http" };
    let bind_addr = config.nginx_bind_addr.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let is_local = |address: &IpAddr| {
        [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].contains(address)
            || address.is_unspecified()
    };
    match bind_addr.filter(|address| !is_local(address)) {
        Some(address) => format!("{scheme}://{}/", SocketAddr::new(address, port)),
        None => format!("{scheme}://localhost:{port}/"),
    }
}
