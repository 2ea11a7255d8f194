//! The raw camera, whose habits a test chooses (see tests/camera/).

use std::process::Stdio;

use serde_json::Value;

use super::events::Events;
use super::process::Process;
use super::project_dir;

/// A running raw camera. Dropping it kills the process.
pub(crate) struct RawCamera {
    process: Process,
    arguments: Vec<String>,
    port: u16,
    events: Events,
}

impl RawCamera {
    /// Starts a camera on a free port. `arguments` are arguments of tests/camera/raw.py, separated by spaces.
    pub(crate) async fn start(arguments: &str) -> Self {
        Self::start_on(0, arguments.split_whitespace().map(str::to_owned).collect()).await
    }

    async fn start_on(port: u16, arguments: Vec<String>) -> Self {
        let script = project_dir().join("tests/camera/raw.py");
        let mut process = Process::start(script.to_str().expect("a path"), |command| {
            command.args(["--port", &port.to_string()]).args(&arguments).stdout(Stdio::piped());
        });
        let events = Events::of(&mut process);
        let port = events.port().await;
        Self { process, arguments, port, events }
    }

    /// Returns the RTSP link of the camera, without credentials.
    pub(crate) fn link(&self) -> String {
        format!("rtsp://127.0.0.1:{}/live", self.port)
    }

    /// Returns the requests with this RTSP method, in the order in which the camera responded to them.
    pub(crate) fn requests(&self, method: &str) -> Vec<Value> {
        let requests = self.events.named("request");
        requests.into_iter().filter(|request| request["method"] == method).collect()
    }

    /// Returns the number of connections that clients have opened since this process started.
    pub(crate) fn connections(&self) -> usize {
        self.events.named("connected").len()
    }

    /// Kills the camera. Its connections are closed at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the camera again after `kill`, on the same port.
    pub(crate) async fn restart(&mut self) {
        *self = Self::start_on(self.port, self.arguments.clone()).await;
    }
}
