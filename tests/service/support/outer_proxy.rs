//! A proxy in front of the service's nginx, which many installations have: another nginx, or Caddy.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::nginx::free_port;
use super::process::Process;
use super::until;

/// A running proxy.
pub(crate) struct OuterProxy {
    process: Process,
    dir: TempDir,
    port: u16,
}

impl OuterProxy {
    /// Starts an nginx whose server block contains `directives`. In them, `ACCOUNTS` is the path of a file for
    /// `auth_basic_user_file`, with the user `anna` and the password `secret`.
    pub(crate) async fn nginx(directives: &str) -> Self {
        Self::start(|dir, port| {
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {dir}/{name};"))
                .join(" ");
            let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).expect("users");
            let configuration = format!(
                "user {user};\npid {dir}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off; \
                 {temporary}\nserver {{\nlisten 127.0.0.1:{port};\n{directives}\n}}\n}}\n",
                user = user.expect("a user").name,
                directives = directives.replace("ACCOUNTS", &format!("{dir}/accounts")),
            );
            (configuration, vec!["nginx", "-e", "stderr", "-g", "daemon off;", "-c"])
        })
        .await
    }

    /// Starts a Caddy whose site contains `directives`.
    pub(crate) async fn caddy(directives: &str) -> Self {
        Self::start(|_, port| {
            let configuration = format!(
                "{{\nadmin off\nauto_https off\n}}\n:{port} {{\nbind 127.0.0.1\n{directives}\n}}\n"
            );
            (configuration, vec!["caddy", "run", "--adapter", "caddyfile", "--config"])
        })
        .await
    }

    /// Calls `configure` with a directory and a free port. `configure` returns a configuration and a command.
    /// Starts the command with the path of the configuration as the last argument.
    async fn start(configure: impl Fn(&str, u16) -> (String, Vec<&'static str>)) -> Self {
        // If another process takes the port before the proxy does, the next attempt uses another port.
        loop {
            let (dir, port) = (TempDir::new().expect("a directory"), free_port());
            let (configuration, command) = configure(dir.path().to_str().expect("a path"), port);
            let file = dir.path().join("configuration");
            std::fs::write(&file, configuration).expect("a file");
            std::fs::write(dir.path().join("accounts"), "anna:{PLAIN}secret\n").expect("a file");
            let process = Self::spawn(&command, &file, dir.path());
            let mut proxy = Self { process, dir, port };
            let mut has_ended = false;
            until("the outer proxy listens", || {
                has_ended = proxy.process.exit_code().is_some();
                async move { has_ended || TcpStream::connect(("127.0.0.1", port)).await.is_ok() }
            })
            .await;
            if !has_ended {
                return proxy;
            }
            let log = proxy.log();
            assert!(log.to_lowercase().contains("address already in use"), "{command:?}: {log}");
        }
    }

    fn spawn(command: &[&str], configuration: &Path, dir: &Path) -> Process {
        let log = std::fs::File::create(dir.join("log")).expect("a log");
        Process::start(command[0], |process| {
            process
                .args(&command[1..])
                .arg(configuration)
                .env("HOME", dir)
                .env("XDG_DATA_HOME", dir)
                .env("XDG_CONFIG_HOME", dir)
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a log"))
                .stderr(log);
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).expect("a log")
    }

    /// Returns the URL of a path of the proxy.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}
