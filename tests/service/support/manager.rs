//! The manager's binary, and its API as a back end sees it.

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
use super::{PATIENCE, eventually, until};

/// nginx asks it there, as `deploy/run` has it.
const SOCKET: &str = "manager.sock";

pub struct Manager {
    process: Process,
    dir: Arc<TempDir>,
    log: Arc<Mutex<Vec<String>>>,
    address: String,
    client: reqwest::Client,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

/// The FFmpeg under test, if it is not the system's.
fn ffmpeg() -> Option<PathBuf> {
    let program = std::env::var_os("TEST_FFMPEG_BIN").filter(|program| !program.is_empty())?;
    // The manager runs in another directory.
    Some(std::path::absolute(program).expect("a path"))
}

/// What setpriv needs to make root somebody else; others stay who they are.
fn as_nobody() -> &'static [&'static str] {
    let is_root = nix::unistd::geteuid().is_root();
    if is_root { &["--reuid=nobody", "--regid=nogroup", "--clear-groups"] } else { &[] }
}

impl Manager {
    /// The command with its settings: a free port, a directory of its own, and what is `set`. It
    /// runs the FFmpeg that `TEST_FFMPEG_BIN` names; the viewer's is always the system's.
    pub fn command(command: &mut Command, dir: &Path, set: &[(&str, &str)]) {
        command
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PORT", "0")
            .env("BIND_SOCKET", dir.join(SOCKET))
            .env("STREAM_DIR", dir.join("streams"))
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", "debug")
            .envs(ffmpeg().map(|program| ("FFMPEG_BIN", program)))
            .envs(set.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
    }

    /// Runs the manager to its end; its exit code and what it wrote to stderr.
    pub fn run_to_end(dir: &TempDir, set: &[(&str, &str)]) -> (Option<i32>, String) {
        Self::run_to_end_with(dir, &[], set)
    }

    /// The same with arguments.
    pub fn run_to_end_with(
        dir: &TempDir,
        arguments: &[&str],
        set: &[(&str, &str)],
    ) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stream-manager"));
        Self::command(&mut command, dir.path(), set);
        ended(command.args(arguments))
    }

    pub async fn start(set: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::new(TempDir::new().expect("a directory")), set).await
    }

    /// A manager on the directory of another one.
    pub async fn start_again(&self, set: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::clone(&self.dir), set).await
    }

    /// A manager that no user's limits spare, as they do root.
    pub async fn start_as_nobody(set: &[(&str, &str)]) -> Self {
        let dir = Arc::new(TempDir::new().expect("a directory"));
        // Where the project is, nobody may be forbidden to look.
        let program = dir.path().join("stream-manager");
        std::fs::copy(env!("CARGO_BIN_EXE_stream-manager"), &program).expect("a copy");
        if !as_nobody().is_empty() {
            let nobody = nix::unistd::User::from_name("nobody").expect("users").expect("nobody");
            nix::unistd::chown(dir.path(), Some(nobody.uid), Some(nobody.gid)).expect("chown");
        }
        let process = Process::start("setpriv", |command| {
            command.args(as_nobody()).arg(&program);
            Self::command(command, dir.path(), set);
        });
        Self::listening(process, dir).await
    }

    /// Sets how many processes and threads the user of one that was started as nobody may have.
    pub fn limit_processes(&self, count: usize) {
        let mut command = Command::new("setpriv");
        command.args(as_nobody()).args(["prlimit", "--pid", &self.id().to_string()]);
        assert!(command.arg(format!("--nproc={count}:")).status().expect("prlimit").success());
    }

    /// A manager with a small disk of its own, of `size` as mount says it, at `disk` beside its
    /// other files.
    pub async fn start_with_disk(size: &str, set: &[(&str, &str)]) -> (Self, Disk) {
        let dir = Arc::new(TempDir::new().expect("a directory"));
        let path = dir.path().join("disk");
        std::fs::create_dir(&path).expect("a directory");
        let process = Process::start("unshare", |command| {
            Self::with_mount(command, disk::SMALL, size, &path);
            Self::command(command, dir.path(), set);
        });
        let manager = Self::listening(process, dir).await;
        let disk = Disk { manager: manager.id(), path };
        (manager, disk)
    }

    /// Runs the manager to its end where it can read `path` only.
    pub fn run_to_end_without_writing(
        dir: &TempDir,
        path: &Path,
        set: &[(&str, &str)],
    ) -> (Option<i32>, String) {
        let mut command = Command::new("unshare");
        Self::with_mount(&mut command, disk::READ_ONLY, "", path);
        Self::command(&mut command, dir.path(), set);
        ended(&mut command)
    }

    fn with_mount(unshare: &mut Command, script: &str, size: &str, path: &Path) {
        // Others than root are given a user namespace in which they are root.
        let is_root = nix::unistd::geteuid().is_root();
        let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
        unshare.arg("--mount").args(user).args(["--", "sh", "-c", script]);
        unshare.args([env!("CARGO_BIN_EXE_stream-manager"), size]).arg(path);
    }

    async fn start_in(dir: Arc<TempDir>, set: &[(&str, &str)]) -> Self {
        let process = Process::start(env!("CARGO_BIN_EXE_stream-manager"), |command| {
            Self::command(command, dir.path(), set);
        });
        Self::listening(process, dir).await
    }

    async fn listening(mut process: Process, dir: Arc<TempDir>) -> Self {
        let stderr = process.child().stderr.take().expect("a pipe");
        let log = lines_of(stderr);
        let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
        let mut manager = Self { process, dir, log, address: String::new(), client };
        manager.address = eventually("the manager listens", || {
            let address = manager.logged_address();
            async move { address }
        })
        .await;
        manager
    }

    fn logged_address(&self) -> Option<String> {
        let lines = self.log_lines();
        let listening = lines.iter().find(|line| line["fields"]["message"] == "listening")?;
        listening["fields"]["address"].as_str().map(str::to_owned)
    }

    /// host:port
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it listens for nginx.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join(SOCKET)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn stream_dir(&self) -> PathBuf {
        self.dir.path().join("streams")
    }

    /// Where it runs, and has its database.
    pub fn dir(&self) -> &TempDir {
        &self.dir
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("log").join("\n")
    }

    /// The lines of the log, taken apart; without those that are no JSON.
    pub fn log_lines(&self) -> Vec<Value> {
        let log = self.log.lock().expect("log");
        log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its exit code, once it has ended.
    pub async fn exit_code(&mut self) -> i32 {
        eventually("the manager ends", || {
            let code = self.process.exit_code();
            async move { code }
        })
        .await
    }

    /// The FFmpeg processes that run.
    pub fn ffmpegs(&self) -> Vec<u32> {
        children_of(self.id())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(self.url(path))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path, body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path, body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.client.delete(self.url(path))).await
    }

    /// Asks with an API key.
    pub async fn ask(&self, key: &str, method: Method, path: &str, body: &Value) -> Answer {
        self.send(self.request(method, path, body).bearer_auth(key)).await
    }

    /// A request. What only reads has no body.
    pub fn request(&self, method: Method, path: &str, body: &Value) -> RequestBuilder {
        let is_reading = method == Method::GET;
        let request = self.client.request(method, self.url(path));
        if is_reading { request } else { request.json(body) }
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer of the manager");
        let status = response.status();
        let text = response.text().await.expect("a whole answer");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, body }
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub async fn start_stream(&self, id: &str, link: &str) -> Answer {
        self.post("/api/stream/start", &json!({ "indicator_id": id, "rtsp_link": link })).await
    }

    /// Starts a stream that is expected to play.
    pub async fn play(&self, id: &str, link: &str) {
        let answer = self.start_stream(id, link).await;
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.log());
    }

    pub async fn stop_stream(&self, id: &str) -> Answer {
        self.post("/api/stream/stop", &json!({ "indicator_id": id })).await
    }

    pub async fn status(&self, id: &str) -> Value {
        self.get(&format!("/api/stream/status?indicator_id={id}")).await.body
    }

    pub async fn reaches(&self, id: &str, state: &str) {
        until(&format!("stream {id} is {state}"), || async {
            self.status(id).await["state"] == state
        })
        .await;
    }
}

/// Exit code and stderr of a manager that ends by itself, as it should.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.spawn().expect("the manager");
    let stderr = child.stderr.take().expect("a pipe");
    let told = std::thread::spawn(move || std::io::read_to_string(stderr).expect("text"));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the manager runs, and should have ended: {:?}", told.join());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let told = told.join().expect("stderr to its end");
    (status.code(), told.trim().to_owned())
}
