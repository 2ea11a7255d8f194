//! Runs the manager's binary, and sends requests to the API.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::disk::{self, Disk};
use super::process::{Process, children_of, lines_of};
use super::{TIMEOUT, eventually, until};

/// File name of the socket on which the manager listens for nginx.
const SOCKET: &str = "manager.sock";

/// A running manager with its own directory.
pub(crate) struct Manager {
    process: Process,
    dir: Arc<TempDir>,
    /// Lines of stderr so far.
    log: Arc<Mutex<Vec<String>>>,
    address: String,
    client: reqwest::Client,
}

/// A response of the API. The body is JSON, or a string if it cannot be parsed.
#[derive(Debug, Clone)]
pub(crate) struct ApiResponse {
    pub status: StatusCode,
    pub body: Value,
}

/// Returns the path of the FFmpeg that `TEST_FFMPEG_BIN` names, or `None` if the variable is empty or not
/// set. The tests then use the system's FFmpeg.
fn ffmpeg() -> Option<PathBuf> {
    let program = std::env::var_os("TEST_FFMPEG_BIN").filter(|program| !program.is_empty())?;
    // The manager runs in another directory, so the path must be absolute.
    Some(std::path::absolute(program).expect("a path"))
}

/// Returns the arguments with which setpriv changes from root to the user nobody. Returns no
/// arguments if the tests do not run as root.
fn as_nobody() -> &'static [&'static str] {
    let is_root = nix::unistd::geteuid().is_root();
    if is_root { &["--reuid=nobody", "--regid=nogroup", "--clear-groups"] } else { &[] }
}

impl Manager {
    /// Sets the manager's working directory and environment: a free port, files in `dir`, no API keys, and
    /// the FFmpeg that `TEST_FFMPEG_BIN` names, if any. `settings` override these. Viewers always use the
    /// system's FFmpeg.
    pub(crate) fn configure(command: &mut Command, dir: &Path, settings: &[(&str, &str)]) {
        command
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PORT", "0")
            .env("BIND_SOCKET", dir.join(SOCKET))
            .env("STREAM_DIR", dir.join("streams"))
            .env("ALLOW_ANONYMOUS", "true")
            // Tests that run at the same time would use the same default port.
            .env("WEBRTC_PORT", "off")
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", "debug")
            .envs(ffmpeg().map(|program| ("FFMPEG_BIN", program)))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
    }

    /// Runs a manager that is expected to exit. Returns its exit code and stderr.
    pub(crate) fn run_to_exit(dir: &TempDir, settings: &[(&str, &str)]) -> (Option<i32>, String) {
        Self::run_to_exit_with(dir, &[], settings)
    }

    /// Runs a manager with command-line arguments, and expects it to exit. Returns its exit code and
    /// stderr.
    pub(crate) fn run_to_exit_with(
        dir: &TempDir,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stream-manager"));
        Self::configure(&mut command, dir.path(), settings);
        wait_for_exit(command.args(arguments))
    }

    /// Starts a manager with these settings in a new directory.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::new(TempDir::new().expect("a directory")), settings).await
    }

    /// Starts another manager in the directory of this one, with these settings.
    pub(crate) async fn start_again(&self, settings: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::clone(&self.dir), settings).await
    }

    /// Starts a manager that inherits this TCP socket, as with socket activation by systemd.
    pub(crate) async fn start_with_socket(socket: &TcpListener) -> Self {
        let dir = Arc::new(TempDir::new().expect("a directory"));
        Self::start_in_with_socket(dir, socket).await
    }

    /// Starts another manager in the directory of this one. The new manager inherits this TCP socket, as with
    /// socket activation by systemd.
    pub(crate) async fn start_again_with_socket(&self, socket: &TcpListener) -> Self {
        Self::start_in_with_socket(Arc::clone(&self.dir), socket).await
    }

    /// Runs a manager that inherits this TCP socket, as from systemd, and is expected to exit. Returns its
    /// exit code and stderr.
    pub(crate) fn run_to_exit_with_socket(
        dir: &TempDir,
        socket: &TcpListener,
        settings: &[(&str, &str)],
    ) -> (Option<i32>, String) {
        let mut command = Command::new("sh");
        Self::configure_with_socket(&mut command, dir.path(), socket, "", settings);
        wait_for_exit(&mut command)
    }

    async fn start_in_with_socket(dir: Arc<TempDir>, socket: &TcpListener) -> Self {
        let process = Process::start("sh", |command| {
            Self::configure_with_socket(command, dir.path(), socket, "", &[]);
        });
        Self::wait_until_listening(process, dir).await
    }

    /// Sets the arguments, the directory and the environment of a shell that executes the manager with this
    /// inherited socket. `redirection` is an additional redirection in the syntax of the shell.
    fn configure_with_socket(
        shell: &mut Command,
        dir: &Path,
        socket: &TcpListener,
        redirection: &str,
        settings: &[(&str, &str)],
    ) {
        let manager = env!("CARGO_BIN_EXE_stream-manager");
        let script =
            format!("LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" 3<&0 </dev/null {redirection}");
        shell.args(["-c", &script, manager]);
        Self::configure(shell, dir, settings);
        let socket = socket.try_clone().expect("a descriptor");
        shell.stdin(Stdio::from(OwnedFd::from(socket)));
    }

    /// Starts a manager that writes its log to `stderr`. The returned value cannot read this log. `redirection`
    /// can redirect the log to another target, in the syntax of the shell.
    pub(crate) fn start_with_stderr(
        stderr: Stdio,
        redirection: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let dir = Arc::new(TempDir::new().expect("a directory"));
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let process = Process::start("sh", |command| {
            Self::configure_with_socket(command, dir.path(), &socket, redirection, settings);
            command.stderr(stderr);
        });
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().expect("a client");
        let address = socket.local_addr().expect("an address").to_string();
        Self { process, dir, log: Arc::default(), address, client }
    }

    /// Starts a manager as the user nobody, because some resource limits do not apply to root.
    pub(crate) async fn start_as_nobody(settings: &[(&str, &str)]) -> Self {
        let dir = Arc::new(TempDir::new().expect("a directory"));
        // The user `nobody` may have no access to the project's directory, so the binary is copied.
        let program = dir.path().join("stream-manager");
        std::fs::copy(env!("CARGO_BIN_EXE_stream-manager"), &program).expect("a copy");
        if !as_nobody().is_empty() {
            let nobody = nix::unistd::User::from_name("nobody").expect("users").expect("nobody");
            nix::unistd::chown(dir.path(), Some(nobody.uid), Some(nobody.gid)).expect("chown");
        }
        let process = Process::start("setpriv", |command| {
            command.args(as_nobody()).arg(&program);
            Self::configure(command, dir.path(), settings);
        });
        Self::wait_until_listening(process, dir).await
    }

    /// Starts a manager that can open this number of files.
    pub(crate) async fn start_with_open_files(count: usize, settings: &[(&str, &str)]) -> Self {
        let dir = Arc::new(TempDir::new().expect("a directory"));
        let process = Process::start("prlimit", |command| {
            command.arg(format!("--nofile={count}:{count}"));
            command.arg(env!("CARGO_BIN_EXE_stream-manager"));
            Self::configure(command, dir.path(), settings);
        });
        Self::wait_until_listening(process, dir).await
    }

    /// Sets the resource limit that keeps this manager from starting another process or thread while its user
    /// has `count` or more processes and threads. The manager must have been started with `start_as_nobody`.
    pub(crate) fn limit_processes(&self, count: usize) {
        let mut command = Command::new("setpriv");
        command.args(as_nobody()).args(["prlimit", "--pid", &self.pid().to_string()]);
        assert!(command.arg(format!("--nproc={count}:")).status().expect("prlimit").success());
    }

    /// Starts a manager that sees a small disk at `disk` in its directory. `size` is an option of
    /// tmpfs, such as `4m`.
    pub(crate) async fn start_with_disk(size: &str, settings: &[(&str, &str)]) -> (Self, Disk) {
        let dir = Arc::new(TempDir::new().expect("a directory"));
        let path = dir.path().join("disk");
        std::fs::create_dir(&path).expect("a directory");
        let process = Process::start("unshare", |command| {
            Self::add_mount_arguments(command, disk::SMALL, size, &path);
            Self::configure(command, dir.path(), settings);
        });
        let manager = Self::wait_until_listening(process, dir).await;
        let disk = Disk { manager_pid: manager.pid(), path };
        (manager, disk)
    }

    /// Runs a manager that cannot write to `path` and is expected to exit. Returns its exit code and
    /// stderr.
    pub(crate) fn run_to_exit_with_read_only(
        dir: &TempDir,
        path: &Path,
        settings: &[(&str, &str)],
    ) -> (Option<i32>, String) {
        let mut command = Command::new("unshare");
        Self::add_mount_arguments(&mut command, disk::READ_ONLY, "", path);
        Self::configure(&mut command, dir.path(), settings);
        wait_for_exit(&mut command)
    }

    fn add_mount_arguments(unshare: &mut Command, script: &str, size: &str, path: &Path) {
        // Mounting needs root. Other users get a user namespace in which they are root.
        let is_root = nix::unistd::geteuid().is_root();
        let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
        unshare.arg("--mount").args(user).args(["--", "sh", "-c", script]);
        unshare.args([env!("CARGO_BIN_EXE_stream-manager"), size]).arg(path);
    }

    async fn start_in(dir: Arc<TempDir>, settings: &[(&str, &str)]) -> Self {
        let process = Process::start(env!("CARGO_BIN_EXE_stream-manager"), |command| {
            Self::configure(command, dir.path(), settings);
        });
        Self::wait_until_listening(process, dir).await
    }

    async fn wait_until_listening(mut process: Process, dir: Arc<TempDir>) -> Self {
        let stderr = process.child().stderr.take().expect("a pipe");
        let log = lines_of(stderr);
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().expect("a client");
        let mut manager = Self { process, dir, log, address: String::new(), client };
        let deadline = Instant::now() + TIMEOUT;
        manager.address = loop {
            if let Some(address) = manager.logged_address() {
                break address;
            }
            assert!(Instant::now() < deadline, "the manager does not listen:\n{}", manager.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        manager
    }

    fn logged_address(&self) -> Option<String> {
        let lines = self.log_lines();
        let listening = lines.iter().find(|line| line["fields"]["message"] == "listening")?;
        listening["fields"]["address"].as_str().map(str::to_owned)
    }

    /// Returns the address of the API as `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the path of the socket that nginx connects to.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join(SOCKET)
    }

    /// Returns the URL of a path of the manager, without nginx.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the default path of `STREAM_DIR`. Do not use it if the test overrides this setting.
    pub(crate) fn stream_dir(&self) -> PathBuf {
        self.dir.path().join("streams")
    }

    /// Returns the manager's working directory, which also contains its database.
    pub(crate) fn dir(&self) -> &TempDir {
        &self.dir
    }

    /// Returns everything that the manager has written to stderr.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("log").join("\n")
    }

    /// Returns the parsed lines of the log. Lines that are not JSON are left out.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        let log = self.log.lock().expect("log");
        log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Returns the `fields` of every line of the log: its message and its structured values.
    pub(crate) fn log_fields(&self) -> Vec<Value> {
        self.log_lines().into_iter().map(|mut line| line["fields"].take()).collect()
    }

    /// Returns the process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the largest amount of memory that the manager has used so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the state of the process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a size");
        peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until the manager exits, and returns its exit code.
    pub(crate) async fn exit_code(&mut self) -> i32 {
        eventually("the manager exits", || {
            let code = self.process.exit_code();
            async move { code }
        })
        .await
    }

    /// Returns the process IDs of the running FFmpegs.
    pub(crate) fn ffmpegs(&self) -> Vec<u32> {
        children_of(self.pid())
    }

    pub(crate) async fn get(&self, path: &str) -> ApiResponse {
        self.send(self.client.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> ApiResponse {
        self.send(self.request(Method::POST, path, body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> ApiResponse {
        self.send(self.request(Method::PUT, path, body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> ApiResponse {
        self.send(self.client.delete(self.url(path))).await
    }

    /// Sends a request with an API key.
    pub(crate) async fn call(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> ApiResponse {
        self.send(self.request(method, path, body).bearer_auth(key)).await
    }

    /// Builds a request. GET requests have no body.
    pub(crate) fn request(&self, method: Method, path: &str, body: &Value) -> RequestBuilder {
        let has_body = method != Method::GET;
        let request = self.client.request(method, self.url(path));
        if has_body { request.json(body) } else { request }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> ApiResponse {
        let response = request.send().await.expect("a response of the manager");
        let status = response.status();
        let text = response.text().await.expect("a complete response");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        ApiResponse { status, body }
    }

    /// Returns a client that sends this header with every request, as nginx does.
    pub(crate) fn client_with(name: &'static str, value: &str) -> reqwest::Client {
        let value = value.parse().expect("a value of a header");
        let headers = std::iter::once((name.parse().expect("a name"), value)).collect();
        let client = reqwest::Client::builder().timeout(TIMEOUT).default_headers(headers);
        client.build().expect("a client")
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Starts a stream of camera `id`, and waits until the stream is playable or has failed. If the camera
    /// sends its first keyframe late, waits only until the start timeout.
    pub(crate) async fn start_stream(&self, id: &str, link: &str) -> ApiResponse {
        self.post("/api/stream/start", &json!({ "indicator_id": id, "rtsp_link": link })).await
    }

    /// Starts a stream, and panics if the start fails.
    pub(crate) async fn play(&self, id: &str, link: &str) {
        let response = self.start_stream(id, link).await;
        assert_eq!(response.status, 200, "{response:?}\n{}", self.log());
    }

    pub(crate) async fn stop_stream(&self, id: &str) -> ApiResponse {
        self.post("/api/stream/stop", &json!({ "indicator_id": id })).await
    }

    /// Returns the status of a camera's main stream.
    pub(crate) async fn status(&self, id: &str) -> Value {
        self.get(&format!("/api/stream/status?indicator_id={id}")).await.body
    }

    /// Waits until the stream is in this state.
    pub(crate) async fn reaches(&self, id: &str, state: &str) {
        until(&format!("stream {id} is {state}"), || async {
            self.status(id).await["state"] == state
        })
        .await;
    }
}

/// Runs a command that is expected to exit. Returns its exit code and stderr.
fn wait_for_exit(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.spawn().expect("the manager");
    let stderr = child.stderr.take().expect("a pipe");
    let stderr = std::thread::spawn(move || std::io::read_to_string(stderr).expect("text"));
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the manager did not exit: {:?}", stderr.join());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let stderr = stderr.join().expect("all of stderr");
    (status.code(), stderr.trim().to_owned())
}
