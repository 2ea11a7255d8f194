//! `stream-manager discover`: the search for cameras from the command line.
//!
//! Neither the database nor the service is touched, so it also helps before there is one.

use std::time::Duration;

use lexopt::prelude::{Long, ValueExt};

use crate::base::error::Error;
use crate::camera::networks::CameraNets;
use crate::onvif::device::{Device, DeviceProfile};
use crate::onvif::soap::Login;
use crate::onvif::{Discovery, Finder, LONGEST_TIME, SHORTEST_TIME, USUAL_TIME, Wanted};

/// Where the password is looked for before it is asked for. Never an argument: those everybody on
/// the machine can read.
pub const PASSWORD: &str = "CAMERA_PASSWORD";

/// How it is used.
pub const USAGE: &str = "usage: stream-manager discover [--interface NAME] [--timeout SECONDS] \
                         [--address ADDRESS] [--username NAME] [--json]";

/// What the command line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Name or address of the interface to look on.
    pub interface: Option<String>,
    /// Seconds.
    pub timeout: f64,
    /// The one device to ask.
    pub address: Option<String>,
    /// Of the cameras. Their password is wanted too, then.
    pub username: Option<String>,
    /// JSON, as the API gives it, instead of a table.
    pub json: bool,
}

impl Options {
    /// Reads the arguments behind the command's name. The error is one line.
    pub fn parse(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, String> {
        let mut options = Self {
            interface: None,
            timeout: USUAL_TIME,
            address: None,
            username: None,
            json: false,
        };
        options.read(lexopt::Parser::from_args(arguments)).map_err(|error| error.to_string())?;
        if (SHORTEST_TIME..=LONGEST_TIME).contains(&options.timeout) {
            return Ok(options);
        }
        Err(format!("--timeout must be {SHORTEST_TIME} to {LONGEST_TIME} seconds"))
    }

    fn read(&mut self, mut parser: lexopt::Parser) -> Result<(), lexopt::Error> {
        while let Some(argument) = parser.next()? {
            match argument {
                Long("interface") => self.interface = Some(parser.value()?.string()?),
                Long("timeout") => self.timeout = parser.value()?.parse()?,
                Long("address") => self.address = Some(parser.value()?.string()?),
                Long("username") => self.username = Some(parser.value()?.string()?),
                Long("json") => self.json = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }
}

/// Looks for cameras; what there is to print, and what to say on the side.
pub async fn run(
    options: Options,
    password: Option<String>,
    nets: CameraNets,
) -> Result<(String, Vec<String>), Error> {
    let password = password.unwrap_or_default();
    let wanted = Wanted {
        interface: options.interface,
        time: Duration::from_secs_f64(options.timeout),
        login: options.username.map(|username| Login { username, password }),
        address: options.address,
    };
    let discovery = Finder::new(nets).find(wanted).await?;
    if options.json {
        let json = serde_json::to_string_pretty(&discovery).unwrap_or_default();
        return Ok((json, Vec::new()));
    }
    Ok((table(&discovery), discovery.warnings))
}

/// A line for each stream, or for a device that tells none.
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
            row(name_of(device, profile), video(profile), link);
        }
        if device.profiles.is_empty() || device.error.is_some() {
            let none = || "-".to_owned();
            row(none(), none(), format!("({})", reason(device)));
        }
    }
    if rows.len() == 1 {
        return "no cameras".to_owned();
    }
    aligned(&rows)
}

fn reason(device: &Device) -> &str {
    match &device.error {
        Some(error) => error,
        None if device.needs_credentials => "wants a user name and a password",
        None => "tells of no streams",
    }
}

fn name_of(device: &Device, profile: &DeviceProfile) -> String {
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

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onvif::device::usual_service;

    #[test]
    fn arguments() {
        let parse = |text: &str| Options::parse(text.split_whitespace().map(Into::into));
        let options = parse("--interface eth0 --timeout=1.5 --username u --json").expect("options");
        assert_eq!((options.interface.as_deref(), options.timeout), (Some("eth0"), 1.5));
        assert_eq!((options.username.as_deref(), options.json), (Some("u"), true));
        for bad in ["--timeout 9", "--timeout x", "--password x", "eth0", "--interface"] {
            assert_eq!(parse(bad).expect_err(bad).lines().count(), 1, "{bad}");
        }
    }

    #[test]
    fn a_table_for_people() {
        let mut device = Device::new(([192, 0, 2, 7], 80).into(), &usual_service(80));
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
        let mut locked = Device::new(([192, 0, 2, 10], 8000).into(), &usual_service(80));
        locked.needs_credentials = true;
        let devices = vec![device, locked];
        let discovery = Discovery { devices, interfaces: vec![], warnings: vec![] };
        let expected = "\
ADDRESS          NAME  MODEL  PROFILE     VIDEO                LINK
192.0.2.7:80     Gate         one (main)  H264 640x360 12.5/s  rtsp://192.0.2.7/1
192.0.2.10:8000               -           -                    (wants a user name and a password)";
        assert_eq!(table(&discovery), expected);
    }
}
