//! Tests of responses that are streamed and of connections that are upgraded, both directly and
//! through nginx with the shipped configuration. No endpoint of the API streams a response, and an upgrade
//! should be tested without a camera, so the tests add endpoints.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HOST};
use hyper::{Method, Response, StatusCode};
use nix::unistd::{Pid, Uid, User};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::api::connection::Closing;
use crate::api::context::Api;
use crate::api::metrics::exporter::Exporter;
use crate::api::reply::Reply;
use crate::api::route::{Audience, Call, Row, Table};
use crate::api::routes;
use crate::base::proc;
use crate::base::public_url::PublicUrl;
use crate::base::tasks::EndedTasks;
use crate::camera::networks::{CameraNetworks, Networks};
use crate::child::spawner::{Bounds, Spawner};
use crate::config::CookieAttributes;
use crate::ingest::ffmpeg::check::FfmpegCheck;
use crate::ingest::ffmpeg::probe::StillTaker;
use crate::ingest::ffmpeg::settings::FfmpegSettings;
use crate::onvif::finder::Finder;
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::layout::Layout;
use crate::service::readiness::Readiness;
use crate::service::testing::Setup;

/// The time limit of every wait. No step takes that long, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const MB: u64 = 1_000_000;
/// The length of the long response, in bytes.
const LONG: u64 = 100 * MB;
const CHUNK: usize = 50_000;
/// The largest amount of memory that a long response can take, in bytes.
const MAX_MEMORY: u64 = 20 * MB;
/// The pause of the slow reader after each megabyte.
const PAUSE: Duration = Duration::from_millis(10);
/// The environment variable that makes a process of the test program run the server.
const SERVE: &str = "TEST_SERVE";
const LISTENING: &str = "listening on ";

/// The location that an endpoint with upgrades requires in nginx's configuration.
const LOCATION: &str = "
        location /test/ {
            proxy_pass http://manager;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
";
fn rows() -> Vec<Row> {
    let row = |path, handler| Row::internal(Method::GET, path, Audience::Everyone, handler);
    vec![
        row("/test/long", |_| Box::pin(async { Ok(long()) })),
        row("/test/echo", |call| Box::pin(async { Ok(echo(call)) })),
        row("/test/unclosed", |call| Box::pin(async { Ok(unclosed(call)) })),
    ]
}

/// Returns a response whose body is produced while the client reads it.
fn long() -> Reply {
    let chunks = (0..LONG / CHUNK as u64).map(|_| Ok(Frame::data(Bytes::from(vec![0; CHUNK]))));
    let body = StreamBody::new(stream::iter(chunks)).boxed_unsync();
    // nginx must not buffer a live response in memory or on disk.
    Response::builder().header("x-accel-buffering", "no").body(body).expect("a response")
}

/// Upgrades the connection and echoes what it receives until the server shuts down.
fn echo(call: Call<'_>) -> Reply {
    let request = Request::from_parts(call.head, ());
    let mut closing: Closing = request.extensions().get::<Closing>().expect("a signal").clone();
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.expect("an upgrade");
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
        tokio::select! {
            _ = tokio::io::copy(&mut reader, &mut writer) => {}
            _ = closing.changed() => {}
        }
    });
    upgrading()
}

/// Upgrades the connection and never closes it.
fn unclosed(call: Call<'_>) -> Reply {
    let request = Request::from_parts(call.head, ());
    tokio::spawn(async move {
        let _kept = hyper::upgrade::on(request).await.expect("an upgrade");
        std::future::pending::<()>().await;
    });
    upgrading()
}

fn upgrading() -> Reply {
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "test")
        .body(Empty::new().map_err(|never| match never {}).boxed_unsync())
        .expect("a response")
}

/// The real server, with the test endpoints.
struct Served {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    ended: JoinHandle<Drain>,
    _dir: TempDir,
}

impl Served {
    async fn start() -> Self {
        let (core, dir) = Setup::new("").await.into_parts();
        let (root, database) = (dir.path().to_owned(), core.cameras.database().clone());
        let table = Table::new(routes::all().into_iter().chain(rows()));
        let bounds = Bounds { nice: 0, memory: u64::MAX, open_files: 64 };
        let spawner = Spawner::start(bounds, &[]).expect("a thread");
        let program = PathBuf::from("ffmpeg");
        let ffmpeg = FfmpegCheck::new(program.clone(), spawner.clone());
        let layout = Layout::new(root.clone());
        let budget = DiskBudget::new(root, None);
        let disk = budget.clone();
        let readiness = Readiness::new(ffmpeg, layout, disk, database, EndedTasks::default());
        let settings = FfmpegSettings {
            program,
            nets: CameraNetworks::default(),
            start_timeout: PATIENCE,
            stale_timeout: PATIENCE,
        };
        let (registry, events) = (core.registry.clone(), core.events.counters());
        let labels = table.labels();
        let metrics = Exporter::new(registry, budget, None, &core.webrtc, events, None, labels);
        let api = Api::new(
            core,
            Finder::new(CameraNetworks::default()),
            StillTaker::new(settings, spawner),
            Arc::new(readiness),
            CookieAttributes { text: "Path=/".to_owned(), is_secure: false },
            metrics,
            PublicUrl::default(),
        );
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let router = Arc::new(Router::new(api, table, Networks::default()));
        let server = Server::bind(address, router).await.expect("a free port");
        let address = server.address().expect("an address");
        let (end, is_over) = oneshot::channel();
        let ended = tokio::spawn(server.run(async {
            let _ = is_over.await;
        }));
        Self { address, end, ended, _dir: dir }
    }

    async fn connect(&self) -> SendRequest<Empty<Bytes>> {
        speak_http(TcpStream::connect(self.address).await.expect("a connection")).await
    }

    /// Makes the server stop accepting connections. Returns the connections that are still open.
    async fn end(self) -> Drain {
        self.end.send(()).expect("a server");
        self.ended.await.expect("no panic")
    }
}

async fn speak_http<S>(stream: S) -> SendRequest<Empty<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = connected.expect("a connection");
    tokio::spawn(connection.with_upgrades());
    sender
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> Response<Incoming> {
    let request = Request::get(path).header(HOST, "localhost").body(Empty::new());
    let response = sender.send_request(request.expect("a request")).await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    response
}

/// Reads a body to its end, slowly. Returns its length.
async fn read_slowly(mut body: Incoming, mut after_each_megabyte: impl FnMut()) -> u64 {
    let (mut length, mut megabytes) = (0, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.expect("a complete body").into_data().expect("no trailers");
        length += data.len() as u64;
        if length / MB > megabytes {
            megabytes = length / MB;
            after_each_megabyte();
            sleep(PAUSE).await;
        }
    }
    length
}

async fn upgraded(
    sender: &mut SendRequest<Empty<Bytes>>,
    path: &str,
) -> TokioIo<hyper::upgrade::Upgraded> {
    let request = Request::get(path)
        .header(HOST, "localhost")
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "test")
        .body(Empty::new());
    let response = sender.send_request(request.expect("a request")).await.expect("a response");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    TokioIo::new(hyper::upgrade::on(response).await.expect("an upgrade"))
}

async fn expect_echo(connection: &mut TokioIo<hyper::upgrade::Upgraded>) {
    for text in ["hello", "again"] {
        connection.write_all(text.as_bytes()).await.expect("a write");
        let mut echo = [0; 5];
        connection.read_exact(&mut echo).await.expect("an echo");
        assert_eq!(echo, text.as_bytes());
    }
}

/// A child process that is killed when the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx with the shipped configuration and a location for the test endpoints.
struct Nginx {
    socket: PathBuf,
    _process: Process,
    _dir: TempDir,
}

impl Nginx {
    async fn start(manager: SocketAddr) -> Self {
        let dir = TempDir::new().expect("a directory");
        let (socket, config) = (dir.path().join("socket"), dir.path().join("nginx.conf"));
        std::fs::write(&config, Self::config(&dir, &socket, manager)).expect("a file");
        // setpriv makes the kernel kill nginx when the test process ends.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "nginx", "-e", "stderr"])
            .args(["-g", "daemon off; master_process off;", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .spawn();
        let nginx = Self { socket, _process: Process(process.expect("nginx")), _dir: dir };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(&nginx.socket).await.is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        nginx
    }

    fn config(dir: &TempDir, socket: &Path, manager: SocketAddr) -> String {
        let dir = dir.path().display();
        let user = User::from_uid(Uid::current()).expect("users").expect("a user").name;
        let mut config = include_str!("../../../nginx/nginx.conf.template").replacen(
            "        location /api/ {",
            &format!("{LOCATION}        location /api/ {{"),
            1,
        );
        for (name, value) in [
            ("NGINX_USER", user),
            ("NGINX_LISTEN", format!("unix:{}", socket.display())),
            ("NGINX_RUN_DIR", dir.to_string()),
            ("MANAGER_ADDR", manager.to_string()),
            ("STREAM_DIR", dir.to_string()),
            ("WEB_DIR", dir.to_string()),
            ("CORS_ORIGINS", "*".to_owned()),
            ("NGINX_BASE_PATH", String::new()),
            ("NGINX_FRAME_ANCESTORS", "'self'".to_owned()),
            ("NGINX_HSTS", String::new()),
            ("NGINX_RECORDINGS", String::new()),
            ("NGINX_REDIRECT", String::new()),
            ("NGINX_TLS", String::new()),
            ("NGINX_TLS_LISTEN", String::new()),
            ("NGINX_TRUSTED_PROXIES", String::new()),
            ("START_WAIT_SECONDS", "60".to_owned()),
            ("NGINX_ACCESS_LOG", "/dev/null".to_owned()),
            ("NGINX_ERROR_LOG", "stderr".to_owned()),
        ] {
            config = config.replace(&format!("${{{name}}}"), &value);
        }
        assert!(config.contains("location /test/") && config.contains("$connection_upgrade {"));
        config
    }

    async fn connect(&self) -> SendRequest<Empty<Bytes>> {
        speak_http(UnixStream::connect(&self.socket).await.expect("a connection")).await
    }
}

/// Runs the server until standard input ends. A separate process runs it, so that the memory of
/// other tests is not counted.
async fn serve_until_input_ends() {
    let served = Served::start().await;
    println!("{LISTENING}{}", served.address);
    let input = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    input.await.expect("no panic").expect("the end of the input");
}

/// Starts another process of the test program, in which `test` runs the server. Returns the process
/// and the server's address.
fn start_server(test: &str) -> (Process, SocketAddr) {
    let module = module_path!().split_once("::").expect("a crate").1;
    let child = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
        .env(SERVE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut process = Process(child.expect("this program"));
    let lines = BufReader::new(process.0.stdout.take().expect("a pipe")).lines();
    let mut addresses = lines.map_while(Result::ok).filter_map(|line| {
        // The harness writes the test's name at the beginning of the same line.
        line.split_once(LISTENING).and_then(|(_, address)| address.parse().ok())
    });
    let address = addresses.next().expect("an address");
    (process, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_response_to_a_slow_reader_takes_little_memory() {
    if std::env::var_os(SERVE).is_some() {
        return serve_until_input_ends().await;
    }
    let (server, address) = start_server("a_long_response_to_a_slow_reader_takes_little_memory");
    let server = Pid::from_raw(server.0.id().try_into().expect("an id"));
    let resident = || proc::memory(server).expect("a process").resident;
    let nginx = Nginx::start(address).await;
    let before = resident();
    let mut most = before;
    let body = get(&mut nginx.connect().await, "/test/long").await.into_body();
    let length = read_slowly(body, || most = most.max(resident())).await;
    assert_eq!(length, LONG);
    assert!(most - before < MAX_MEMORY, "memory grew from {before} to {most} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_works_directly_and_through_nginx() {
    let served = Served::start().await;
    let mut direct = upgraded(&mut served.connect().await, "/test/echo").await;
    expect_echo(&mut direct).await;
    let nginx = Nginx::start(served.address).await;
    let mut proxied = upgraded(&mut nginx.connect().await, "/test/echo").await;
    expect_echo(&mut proxied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgraded_connections_end_with_the_server() {
    let served = Served::start().await;
    let mut connection = upgraded(&mut served.connect().await, "/test/echo").await;
    expect_echo(&mut connection).await;
    let drain = served.end().await;
    timeout(PATIENCE, drain.finish(PATIENCE * 2)).await.expect("an end long before the deadline");
    assert_eq!(connection.read(&mut [0]).await.expect("a read"), 0, "the connection is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_waits_until_the_deadline_for_a_connection_that_does_not_end() {
    let served = Served::start().await;
    let _connection = upgraded(&mut served.connect().await, "/test/unclosed").await;
    let (drain, began) = (served.end().await, Instant::now());
    let deadline = Duration::from_millis(300);
    timeout(PATIENCE, drain.finish(deadline)).await.expect("an end at the deadline");
    assert!(began.elapsed() >= deadline);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_in_progress_is_finished() {
    let served = Served::start().await;
    let body = get(&mut served.connect().await, "/test/long").await.into_body();
    let drain = served.end().await;
    let reading = tokio::spawn(read_slowly(body, || {}));
    timeout(PATIENCE, drain.finish(PATIENCE * 2)).await.expect("an end after the response");
    assert_eq!(reading.await.expect("no panic"), LONG);
}
