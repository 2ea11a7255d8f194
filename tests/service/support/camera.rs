//! The test camera, a real RTSP server (see tests/camera/).

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::process::{Process, lines_of};
use super::{eventually, project};

pub struct Camera {
    process: Process,
    port: u16,
    password: String,
    events: Arc<Mutex<Vec<String>>>,
}

impl Camera {
    /// A camera on a free port, with a password that occurs nowhere else.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more on its command line.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let password = format!("pw-{}", uuid_like());
        Self::start_on(0, password, arguments).await
    }

    async fn start_on(port: u16, password: String, arguments: &[&str]) -> Self {
        let script = project().join("tests/camera/camera.py");
        let mut process = Process::start(script.to_str().expect("a path"), |command| {
            command
                .args(["--port", &port.to_string(), "--password", &password])
                .args(arguments)
                .stdout(Stdio::piped());
        });
        let stdout = process.child().stdout.take().expect("a pipe");
        let events = lines_of(stdout);
        let mut camera = Self { process, port, password, events };
        camera.port = eventually("the camera listens", || {
            let port = camera.events("ready").first().and_then(|event| event["port"].as_u64());
            async move { port }
        })
        .await
        .try_into()
        .expect("a port");
        camera
    }

    /// The link of a mount.
    pub fn link(&self, mount: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{mount}", self.port)
    }

    /// The link of a mount with the right credentials.
    pub fn private_link(&self, mount: &str) -> String {
        format!("rtsp://viewer:{}@127.0.0.1:{}/{mount}", self.password, self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How often a client began to play.
    pub fn plays(&self) -> usize {
        self.events("play").len()
    }

    /// As when somebody pulls the plug.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// The same camera again, after it was killed.
    pub async fn come_back(&mut self) {
        self.come_back_with(&[]).await;
    }

    /// The same camera with other settings.
    pub async fn come_back_with(&mut self, arguments: &[&str]) {
        *self = Self::start_on(self.port, self.password.clone(), arguments).await;
    }

    /// Sends nothing more, but keeps its connections.
    pub fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    fn events(&self, name: &str) -> Vec<Value> {
        let events = self.events.lock().expect("events");
        let parsed = events.iter().map(|line| -> Value {
            serde_json::from_str(line).expect("a JSON line of the camera")
        });
        parsed.filter(|event| event["event"] == name).collect()
    }
}

fn uuid_like() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}
