//! S3 servers, and a proxy that disturbs the connections to them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::process::Process;
use super::{eventually, until};

/// The bucket, and the key for it.
pub(crate) const BUCKET: &str = "cameras";
pub(crate) const ACCESS_KEY: &str = "test-access-key";
pub(crate) const SECRET_KEY: &str = "test-secret-key-0001";

/// An S3 server with an empty bucket.
pub(crate) struct S3 {
    /// The address, such as `127.0.0.1:9000`.
    address: String,
    kind: S3Kind,
    client: reqwest::Client,
    root: TempDir,
    _process: Process,
}

/// The program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum S3Kind {
    /// moto, which keeps objects in memory and accepts all keys.
    Moto,
    /// s3s-fs, which keeps objects in files and checks the key.
    Files,
}

/// Returns the path of a program that `./deploy/test` has installed.
fn tool(variable: &str, path: &str) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(path);
    let program = std::env::var_os(variable).map_or_else(default, PathBuf::from);
    assert!(program.exists(), "{} is missing; see tests/README.md", program.display());
    program
}

impl S3 {
    /// Starts a server, and creates the bucket.
    pub(crate) async fn start(kind: S3Kind) -> Self {
        let root = TempDir::new().expect("a directory");
        let (address, process) = match kind {
            S3Kind::Moto => moto(),
            S3Kind::Files => files(&root),
        };
        let client = reqwest::Client::new();
        let s3 = Self { address, kind, client, root, _process: process };
        until("the S3 server listens", || async { TcpStream::connect(&s3.address).await.is_ok() })
            .await;
        match kind {
            S3Kind::Moto => {
                let created = s3.request(reqwest::Method::PUT, "").await;
                assert!(created.status().is_success(), "{created:?}");
            }
            S3Kind::Files => fs::create_dir(s3.root.path().join(BUCKET)).expect("a directory"),
        }
        s3
    }

    /// Returns the address of the server.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request about the bucket to moto. `path` is a query or the name of an object.
    async fn request(&self, method: reqwest::Method, path: &str) -> reqwest::Response {
        self.request_with(method, path, "").await
    }

    async fn request_with(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &str,
    ) -> reqwest::Response {
        let url = format!("http://{}/{BUCKET}{path}", self.address);
        // moto finds the service in this header.
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/us-east-1/s3/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let request = self.client.request(method, url).header("authorization", credential);
        request.body(body.to_owned()).send().await.expect("a response")
    }

    /// Returns the names and sizes of all objects, sorted by name.
    pub(crate) async fn objects(&self) -> Vec<(String, u64)> {
        let mut objects = match self.kind {
            S3Kind::Moto => {
                let list = self.request(reqwest::Method::GET, "?list-type=2").await;
                let list = list.text().await.expect("a list");
                let object = |part: &str| {
                    (between(part, "Key"), between(part, "Size").parse().expect("a size"))
                };
                list.split("<Contents>").skip(1).map(object).collect()
            }
            S3Kind::Files => {
                let root = self.root.path().join(BUCKET);
                let mut objects = Vec::new();
                let mut dirs = vec![root.clone()];
                while let Some(dir) = dirs.pop() {
                    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                        let path = entry.path();
                        if path.is_dir() {
                            dirs.push(path);
                        } else if let Ok(metadata) = path.metadata() {
                            let name = path.strip_prefix(&root).expect("below the root");
                            objects.push((name.to_string_lossy().into_owned(), metadata.len()));
                        }
                    }
                }
                objects
            }
        };
        objects.sort();
        objects
    }

    /// Returns the number of multipart uploads that have begun and have not ended.
    pub(crate) async fn uploads(&self) -> usize {
        assert_eq!(self.kind, S3Kind::Moto);
        let list = self.request(reqwest::Method::GET, "?uploads").await;
        list.text().await.expect("a list").matches("<UploadId>").count()
    }

    /// Creates an object.
    pub(crate) async fn put(&self, name: &str, text: &str) {
        assert_eq!(self.kind, S3Kind::Moto);
        let put = self.request_with(reqwest::Method::PUT, &format!("/{name}"), text).await;
        assert!(put.status().is_success(), "{put:?}");
    }
}

fn between(text: &str, tag: &str) -> String {
    let (_, rest) = text.split_once(&format!("<{tag}>")).expect(tag);
    rest.split('<').next().unwrap_or_default().to_owned()
}

fn moto() -> (String, Process) {
    let program = tool("MOTO_SERVER_BIN", "moto/bin/moto_server");
    let mut process = Process::start(program.to_str().expect("a path"), |command| {
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdout(Stdio::null()).stderr(Stdio::piped());
    });
    let mut lines = BufReader::new(process.child().stderr.take().expect("stderr")).lines();
    let address = loop {
        let line = lines.next().expect("the address of moto").expect("a line");
        if let Some((_, address)) = line.split_once("http://") {
            break address.trim().to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    (address, process)
}

fn files(root: &TempDir) -> (String, Process) {
    let program = tool("S3S_FS_BIN", "s3s-fs/bin/s3s-fs");
    let port = StdListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port");
    let process = Process::start(program.to_str().expect("a path"), |command| {
        command.args(["--host", "127.0.0.1", "--port", &port.port().to_string()]);
        command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]).arg(root.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
    });
    (port.to_string(), process)
}

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass,
    /// Closes all connections.
    Away,
    /// Passes nothing on, and keeps all connections open.
    Frozen,
    /// Answers requests with status 503.
    Busy,
    /// Closes each connection after this number of bytes of requests.
    CutRequests(u64),
    /// Closes each connection after this number of bytes of responses.
    CutResponses(u64),
}

/// A proxy to a server.
pub(crate) struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    mode: Mutex<Mode>,
    /// Bytes of all requests.
    sent: AtomicU64,
    /// Bytes of all responses.
    received: AtomicU64,
    /// The number of connections that were closed because of the mode.
    disturbed: AtomicU64,
}

impl Proxy {
    /// Starts a proxy to the server.
    pub(crate) async fn start(server: &S3) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Pass),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            disturbed: AtomicU64::new(0),
        });
        let (own, server) = (Arc::clone(&shared), server.address().to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (own, server) = (Arc::clone(&own), server.clone());
                tokio::spawn(async move { own.serve(client, &server).await });
            }
        });
        Self { address, shared }
    }

    /// Returns the URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what happens to connections, also to those that are open.
    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.mode.lock().expect("a mode") = mode;
    }

    /// Returns the bytes of all requests.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// Returns the bytes of all responses.
    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }

    /// Waits until this number of further connections was disturbed.
    pub(crate) async fn disturbs(&self, count: u64) {
        let before = self.shared.disturbed.load(Ordering::SeqCst);
        eventually("connections are disturbed", || async {
            let now = self.shared.disturbed.load(Ordering::SeqCst);
            (now >= before + count).then_some(())
        })
        .await;
    }
}

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.lock().expect("a mode")
    }

    async fn serve(&self, mut client: TcpStream, server: &str) {
        let Ok(mut server) = TcpStream::connect(server).await else { return };
        let (mut sent, mut received) = (0, 0);
        let (mut request, mut response) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
        loop {
            let check = tokio::time::sleep(Duration::from_millis(50));
            if self.mode() == Mode::Frozen {
                check.await;
                continue;
            }
            tokio::select! {
                read = client.read(&mut request) => {
                    let count = read.unwrap_or(0);
                    if count == 0 {
                        return;
                    }
                    self.sent.fetch_add(count as u64, Ordering::SeqCst);
                    sent += count as u64;
                    if self.mode() == Mode::Busy {
                        self.disturbed.fetch_add(1, Ordering::SeqCst);
                        let busy = b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                        drop(client.write_all(busy).await);
                        return;
                    }
                    if !self.is_cut(sent, received) && server.write_all(&request[..count]).await.is_err() {
                        return;
                    }
                }
                read = server.read(&mut response) => {
                    let count = read.unwrap_or(0);
                    if count == 0 {
                        return;
                    }
                    self.received.fetch_add(count as u64, Ordering::SeqCst);
                    received += count as u64;
                    if !self.is_cut(sent, received) && client.write_all(&response[..count]).await.is_err() {
                        return;
                    }
                }
                () = check => {}
            }
            if self.is_cut(sent, received) {
                self.disturbed.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }

    fn is_cut(&self, sent: u64, received: u64) -> bool {
        match self.mode() {
            Mode::Pass | Mode::Frozen | Mode::Busy => false,
            Mode::Away => true,
            Mode::CutRequests(bytes) => sent > bytes,
            Mode::CutResponses(bytes) => received > bytes,
        }
    }
}
