//! The ONVIF test device (see tests/camera/).

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::process::{Process, lines_of};
use super::{Camera, eventually, project};

pub struct OnvifDevice {
    _process: Process,
    address: String,
    port: u64,
    events: Arc<Mutex<Vec<String>>>,
}

impl OnvifDevice {
    /// A device on a free port of a loopback address of its own, with this on its command line.
    pub async fn start(arguments: &[&str]) -> Self {
        let number = || fastrand::u8(1..255);
        Self::start_at(format!("127.{}.{}.{}", number(), number(), number()), arguments).await
    }

    /// The device of the test camera, which is at 127.0.0.1.
    pub async fn of(camera: &Camera, arguments: &[&str]) -> Self {
        let (id, link) = (camera.id().to_string(), camera.link("h264"));
        let link = format!("profile_main={link}");
        let own = ["--camera-pid", &id, "--link", &link];
        Self::start_at("127.0.0.1".to_owned(), &[&own, arguments].concat()).await
    }

    async fn start_at(address: String, arguments: &[&str]) -> Self {
        let script = project().join("tests/camera/onvif.py");
        let mut process = Process::start(script.to_str().expect("a path"), |command| {
            command.args(["--address", &address]).args(arguments).stdout(Stdio::piped());
        });
        let events = lines_of(process.child().stdout.take().expect("a pipe"));
        let mut device = Self { _process: process, address, port: 0, events };
        device.port = eventually("the device listens", || {
            let port = device.events("ready").first().and_then(|event| event["port"].as_u64());
            async move { port }
        })
        .await;
        device
    }

    /// Its IP address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its address with the port of its services.
    pub fn place(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// What it has reported under this name.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let events = self.events.lock().expect("events");
        let parsed = events.iter().map(|line| -> Value {
            serde_json::from_str(line).expect("a JSON line of the device")
        });
        parsed.filter(|event| event["event"] == name).collect()
    }
}
