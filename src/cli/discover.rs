//! `stream-manager discover`: searches the network for cameras.
//!
//! The command needs neither the database nor the service.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::prelude::{Long, ValueExt};

use super::error::CommandError;
use super::logging::print_error;
use super::runtime::block_on;
use super::table;
use crate::base::fingerprint::Fingerprint;
use crate::config::{self, Config};
use crate::onvif::device::Device;
use crate::onvif::finder::{
    Discovery, DiscoveryRequest, Finder, LONGEST_TIME, SHORTEST_TIME, USUAL_TIME,
};
use crate::onvif::http::ConfirmedCertificates;
use crate::onvif::login::Login;
use crate::onvif::profile::DeviceProfile;

/// The options of the command.
#[derive(Debug, Clone, PartialEq)]
struct Options {
    /// Name or address of the network interface to search on; `None` for all except loopback.
    interface: Option<String>,
    /// Time to wait for responses, in seconds.
    timeout: f64,
    /// Address of a single device, which is queried instead of the network.
    address: Option<String>,
    /// Fingerprint of the only certificate that is accepted from the device at `address`.
    certificate: Option<Fingerprint>,
    /// User name for the cameras. If it is set, a password is read as well.
    username: Option<String>,
    /// If true, the output is JSON in the format of the API, instead of a table.
    json: bool,
}

impl Options {
    /// Reads the arguments that follow the name of the command.
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut options = Self {
            interface: None,
            timeout: USUAL_TIME,
            address: None,
            certificate: None,
            username: None,
            json: false,
        };
        options.read(lexopt::Parser::from_args(arguments))?;
        if (SHORTEST_TIME..=LONGEST_TIME).contains(&options.timeout) {
            return Ok(options);
        }
        Err(format!("--timeout must be {SHORTEST_TIME} to {LONGEST_TIME} seconds").into())
    }

    fn read(&mut self, mut parser: lexopt::Parser) -> Result<(), lexopt::Error> {
        while let Some(argument) = parser.next()? {
            match argument {
                Long("interface") => self.interface = Some(parser.value()?.string()?),
                Long("timeout") => self.timeout = parser.value()?.parse()?,
                Long("address") => self.address = Some(parser.value()?.string()?),
                Long("certificate") => {
                    let text = parser.value()?.string()?;
                    let invalid = || "--certificate must be a SHA-256 fingerprint".to_owned();
                    self.certificate = Some(Fingerprint::parse(&text).ok_or_else(invalid)?);
                }
                Long("username") => self.username = Some(parser.value()?.string()?),
                Long("json") => self.json = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }
}

/// Searches for cameras, and returns the output to print. With `--json`, the output contains the warnings;
/// otherwise this function prints them to stderr.
pub(super) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<String, CommandError> {
    let options = Options::parse(arguments).map_err(CommandError::DiscoverArguments)?;
    let config = Config::load()?;
    let request = DiscoveryRequest {
        interface: options.interface,
        time: Duration::from_secs_f64(options.timeout),
        login: options.username.map(login).transpose()?,
        address: options.address,
        certificate: options.certificate,
    };
    let finder = Finder::new(config.camera_nets());
    let discovery =
        block_on(async { finder.find(request, ConfirmedCertificates::default()).await })?;
    let discovery = discovery.map_err(CommandError::Discovery)?;
    if options.json {
        return Ok(serde_json::to_string_pretty(&discovery).unwrap_or_default());
    }
    discovery.warnings.iter().for_each(|warning| print_error(warning));
    Ok(table(&discovery))
}

/// Returns `username` with the password from `CAMERA_PASSWORD` or, if that is unset, from the terminal. There
/// is no argument for the password, because all users of the machine can read a process's arguments.
fn login(username: String) -> Result<Login, CommandError> {
    let password = match config::camera_password() {
        Some(password) => password.expose().to_owned(),
        None => rpassword::prompt_password(format!("password for {username}: "))
            .map_err(CommandError::NoPassword)?,
    };
    Ok(Login { username, password })
}

/// Renders a table with one row for each stream, and one for each device that has no streams or reported
/// an error.
fn table(discovery: &Discovery) -> String {
    let mut rows =
        vec![["ADDRESS", "NAME", "MODEL", "PROFILE", "VIDEO", "LINK"].map(str::to_owned)];
    for device in &discovery.devices {
        let address = format!("{}:{}", device.address, device.port);
        let name = device.name.clone().unwrap_or_default();
        let model = [device.manufacturer.as_deref(), device.model.as_deref()];
        let model = model.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let mut row = |profile: String, video: String, link: String| {
            rows.push([address.clone(), name.clone(), model.clone(), profile, video, link]);
        };
        for profile in &device.profiles {
            let link = profile.rtsp_link.clone().unwrap_or_else(|| "-".to_owned());
            row(profile_name(device, profile), video(profile), link);
        }
        if device.profiles.is_empty() || device.error.is_some() {
            let none = || "-".to_owned();
            row(none(), none(), format!("({})", reason(device)));
        }
    }
    if rows.len() == 1 {
        return "no cameras found".to_owned();
    }
    table::aligned(&rows)
}

fn reason(device: &Device) -> &str {
    match &device.error {
        Some(error) => error,
        None if device.needs_credentials => "requires a user name and a password",
        None => "reports no streams",
    }
}

fn profile_name(device: &Device, profile: &DeviceProfile) -> String {
    let link = &profile.rtsp_link;
    let role = match link {
        Some(_) if *link == device.main => " (main)",
        Some(_) if *link == device.sub => " (sub)",
        _ => "",
    };
    format!("{}{role}", profile.name)
}

fn video(profile: &DeviceProfile) -> String {
    let size = profile.width.zip(profile.height).map(|(width, height)| format!("{width}x{height}"));
    let rate = profile.frame_rate.map(|rate| format!("{rate}/s"));
    let parts = [profile.video_codec.clone(), size, rate];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onvif::soap::OnvifService;

    #[test]
    fn arguments_are_parsed() {
        let parse = |text: &str| Options::parse(text.split_whitespace().map(Into::into));
        let options = parse("--interface eth0 --timeout=1.5 --username u --json").expect("options");
        assert_eq!((options.interface.as_deref(), options.timeout), (Some("eth0"), 1.5));
        assert_eq!((options.username.as_deref(), options.json), (Some("u"), true));
        for bad in ["--timeout 9", "--timeout x", "--password x", "eth0", "--interface"] {
            let error = parse(bad).expect_err(bad).to_string();
            assert_eq!(error.lines().count(), 1, "{bad}");
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_stream_and_each_device_without_streams() {
        let mut device = Device::new(([192, 0, 2, 7], 80).into(), &OnvifService::usual(80));
        device.name = Some("Gate".into());
        device.main = Some("rtsp://192.0.2.7/1".into());
        device.profiles = vec![DeviceProfile {
            token: "a".into(),
            name: "one".into(),
            video_codec: Some("H264".into()),
            width: Some(640),
            height: Some(360),
            frame_rate: Some(12.5),
            video_source: None,
            rtsp_link: device.main.clone(),
        }];
        let mut locked = Device::new(([192, 0, 2, 10], 8000).into(), &OnvifService::usual(80));
        locked.needs_credentials = true;
        let devices = vec![device, locked];
        let discovery = Discovery { devices, interfaces: vec![], warnings: vec![] };
        let expected = "\
ADDRESS          NAME  MODEL  PROFILE     VIDEO                LINK
192.0.2.7:80     Gate         one (main)  H264 640x360 12.5/s  rtsp://192.0.2.7/1
192.0.2.10:8000               -           -                    (requires a user name and a password)";
        assert_eq!(table(&discovery), expected);
    }
}
