//! nginx with the shipped configuration, rendered by the same script that deployments use.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::Process;
use super::{Manager, TIMEOUT, project_dir, until};

/// A running nginx in front of a manager.
pub(crate) struct Nginx {
    process: Process,
    dir: TempDir,
    port: u16,
    client: reqwest::Client,
}

impl Nginx {
    /// Starts nginx in front of `manager`, with `CORS_ORIGINS=*`.
    pub(crate) async fn start(manager: &Manager) -> Self {
        Self::start_with(manager, "*").await
    }

    /// Starts nginx in front of `manager` with this value of `CORS_ORIGINS`.
    pub(crate) async fn start_with(manager: &Manager, cors_origins: &str) -> Self {
        Self::start_with_settings(manager, &[("CORS_ORIGINS", cors_origins)]).await
    }

    /// Starts nginx in front of `manager` with these settings.
    pub(crate) async fn start_with_settings(manager: &Manager, settings: &[(&str, &str)]) -> Self {
        // nginx does not report which port it got for port 0, so the port is selected first. If
        // another process takes it before nginx does, the next attempt uses another port.
        loop {
            let port = free_port();
            if let Some(nginx) = Self::start_on(port, manager, settings).await {
                return nginx;
            }
        }
    }

    /// Starts nginx on `port`. Returns `None` if another process uses the port.
    async fn start_on(port: u16, manager: &Manager, settings: &[(&str, &str)]) -> Option<Self> {
        let dir = TempDir::new().expect("a directory");
        render(&dir, port, manager, settings);
        let log = dir.path().join("log");
        let log = File::options().create(true).append(true).open(log).expect("a log");
        // stdout is a socket, as it is under systemd. nginx would fail if the configuration made it open
        // /dev/stdout, because a socket cannot be opened.
        let (_reader, stdout) = UnixStream::pair().expect("sockets");
        let process = Process::start("nginx", |command| {
            command
                .args(["-e", "stderr", "-g", "daemon off;", "-c"])
                .arg(dir.path().join("nginx.conf"))
                .stdout(Stdio::from(OwnedFd::from(stdout)))
                .stderr(log);
        });
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().expect("a client");
        let mut nginx = Self { process, dir, port, client };
        let mut is_port_taken = false;
        until("nginx responds", || {
            is_port_taken = nginx.process.exit_code().is_some();
            let request = nginx.client.get(nginx.url("/")).send();
            async move { is_port_taken || request.await.is_ok() }
        })
        .await;
        if !is_port_taken {
            return Some(nginx);
        }
        let log = nginx.log();
        assert!(log.contains("Address already in use"), "nginx ended: {log}");
        None
    }

    /// Returns the address as `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Returns the URL of a camera's playlist.
    pub(crate) fn playlist(&self, id: &str) -> String {
        self.url(&format!("/streams/{id}/stream.m3u8"))
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.expect("a response of nginx")
    }

    /// Returns the contents of the access log and the error log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).expect("a log")
    }
}

/// Returns a TCP port on which no process listens at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Writes `nginx.conf` to `dir`. `settings` override the defaults.
fn render(dir: &TempDir, port: u16, manager: &Manager, settings: &[(&str, &str)]) {
    let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).expect("users");
    let variables = [
        format!("NGINX_USER={}", user.expect("a user").name),
        format!("NGINX_LISTEN=127.0.0.1:{port}"),
        format!("NGINX_RUN_DIR={}", path(dir.path())),
        format!("MANAGER_ADDR=unix:{}", path(&manager.socket())),
        format!("STREAM_DIR={}", path(&manager.stream_dir())),
        format!("WEB_DIR={}", path(&project_dir().join("nginx/web/dist"))),
        "CORS_ORIGINS=*".to_owned(),
        "START_WAIT_SECONDS=60".to_owned(),
        format!("NGINX_ACCESS_LOG={}", path(&dir.path().join("log"))),
        "NGINX_ERROR_LOG=stderr".to_owned(),
    ];
    let rendered = Command::new("bash")
        .args(["-euc", r#". deploy/lib.sh; render_nginx "$@""#, "bash"])
        .arg(dir.path().join("nginx.conf"))
        .args(variables)
        .args(settings.iter().map(|(name, value)| format!("{name}={value}")))
        .current_dir(project_dir())
        .stdin(Stdio::null())
        .status();
    assert!(rendered.expect("bash").success(), "render_nginx failed");
}
