//! The ONVIF test device (see tests/camera/).

use std::process::Stdio;

use serde_json::Value;

use super::events::Events;
use super::process::Process;
use super::{Camera, project_dir};

/// A running ONVIF test device.
pub(crate) struct OnvifDevice {
    _process: Process,
    address: String,
    port: u16,
    events: Events,
}

impl OnvifDevice {
    /// Starts a device on a free port of a random loopback address.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let number = || fastrand::u8(1..255);
        Self::start_at(format!("127.{}.{}.{}", number(), number(), number()), arguments).await
    }

    /// Starts a device at 127.0.0.1, the address of `camera`. The device's main profile links to the
    /// camera's mount `h264`, and the device passes requests for keyframes on to the camera.
    pub(crate) async fn start_for(camera: &Camera, arguments: &[&str]) -> Self {
        let (pid, link) = (camera.pid().to_string(), camera.link("h264"));
        let link = format!("profile_main={link}");
        let camera_arguments = ["--camera-pid", &pid, "--link", &link];
        Self::start_at("127.0.0.1".to_owned(), &[&camera_arguments, arguments].concat()).await
    }

    async fn start_at(address: String, arguments: &[&str]) -> Self {
        let script = project_dir().join("tests/camera/onvif.py");
        let mut process = Process::start(script.to_str().expect("a path"), |command| {
            command.args(["--address", &address]).args(arguments).stdout(Stdio::piped());
        });
        let events = Events::of(&mut process);
        let port = events.port().await;
        Self { _process: process, address, port, events }
    }

    /// Returns the device's IP address.
    pub(crate) fn ip_address(&self) -> &str {
        &self.address
    }

    /// Returns the device's IP address and the port of its services, as `address:port`.
    pub(crate) fn address_and_port(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// Returns the events with this name that the device has reported.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        self.events.named(name)
    }
}
