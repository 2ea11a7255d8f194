//! The test camera, which is a real RTSP server (see tests/camera/), and a camera that never responds.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tokio::net::{TcpListener, TcpStream};

use super::events::Events;
use super::process::Process;
use super::project_dir;

/// Shell script: connects this network to the network of the process `$0`, as soon as the process has its own
/// network.
const OUTSIDE: &str = "
    until [ \"$(readlink /proc/$0/ns/net)\" != \"$(readlink /proc/$$/ns/net)\" ]; do sleep 0.1; done
    ip link add cam0 type veth peer name cam1 netns \"$0\"
    ip address add fe80::a/64 dev cam0 nodad
    ip link set cam0 up";
/// Shell script: runs the camera `$0` as soon as this network is connected.
const INSIDE: &str = "
    until ip address add fe80::b/64 dev cam1 nodad 2>/dev/null; do sleep 0.1; done
    ip link set cam1 up
    exec \"$0\" \"$@\"";

/// A running test camera. A *mount* is one of its paths, such as `h264` in `rtsp://127.0.0.1:8554/h264`.
pub(crate) struct Camera {
    process: Process,
    port: u16,
    password: String,
    events: Events,
}

impl Camera {
    /// Starts a camera on a free port with a unique password.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a camera as `start` does, with additional command-line arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let password = format!("pw-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        Self::start_on(0, password, arguments).await
    }

    async fn start_on(port: u16, password: String, arguments: &[&str]) -> Self {
        let script = project_dir().join("tests/camera/camera.py");
        let mut process = Process::start(script.to_str().expect("a path"), |command| {
            command
                .args(["--port", &port.to_string(), "--password", &password])
                .args(arguments)
                .stdout(Stdio::piped());
        });
        let events = Events::of(&mut process);
        let port = events.port().await;
        Self { process, port, password, events }
    }

    /// Starts a camera in a network namespace of its own. The interface `cam0` of the test's network is connected to
    /// the camera's only interface, which has the address `fe80::b`.
    pub(crate) async fn start_link_local() -> Self {
        let script = project_dir().join("tests/camera/camera.py");
        let password = format!("pw-{:016x}", fastrand::u64(..));
        let mut process = Process::start("unshare", |command| {
            command.args(["--net", "sh", "-euc", INSIDE]).arg(script);
            command.args(["--address", "::", "--port", "0", "--password", &password]);
            command.stdout(Stdio::piped());
        });
        let mut outside = Command::new("sh");
        outside.args(["-euc", OUTSIDE, &process.pid().to_string()]);
        assert!(outside.status().expect("sh").success(), "cannot connect the networks");
        let events = Events::of(&mut process);
        let port = events.port().await;
        Self { process, port, password, events }
    }

    /// Returns the RTSP link of a mount, without credentials.
    pub(crate) fn link(&self, mount: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{mount}", self.port)
    }

    /// Returns the RTSP link of a mount, with valid credentials.
    pub(crate) fn link_with_credentials(&self, mount: &str) -> String {
        format!("rtsp://viewer:{}@127.0.0.1:{}/{mount}", self.password, self.port)
    }

    /// Returns the port of the RTSP server.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the password of the user `viewer`.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// Returns the process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns how many times clients have started to play since this camera process started.
    pub(crate) fn plays(&self) -> usize {
        self.events.named("play").len()
    }

    /// Makes the mounts of `--running` send a keyframe at once.
    pub(crate) fn make_keyframe(&self) {
        self.process.signal(Signal::SIGUSR1);
    }

    /// Kills the camera process. Its connections are closed at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the camera again after `kill`, on the same port and with the same password, but without the
    /// arguments of `start_with`.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    /// Starts the camera again as `restart` does, with these additional command-line arguments.
    pub(crate) async fn restart_with(&mut self, arguments: &[&str]) {
        *self = Self::start_on(self.port, self.password.clone(), arguments).await;
    }

    /// Stops the camera from sending anything. Its connections stay open.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen camera continue.
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::SIGCONT);
    }
}

/// A camera that accepts connections but never sends anything.
pub(crate) struct SilentCamera(TcpListener);

impl SilentCamera {
    /// Starts a camera on a free port.
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    /// Returns the camera's RTSP link.
    pub(crate) fn link(&self) -> String {
        format!("rtsp://{}/live", self.0.local_addr().expect("an address"))
    }

    /// Waits until FFmpeg connects. The connection is closed when the returned stream is dropped.
    pub(crate) async fn accept(&self) -> TcpStream {
        self.0.accept().await.expect("a connection from FFmpeg").0
    }
}
