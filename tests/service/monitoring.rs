//! The alerts and the dashboard, with a real Prometheus that asks the real service as the example
//! says.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Camera, Manager, Metrics, PATIENCE, Process, eventually, free_port, project};

const KEY: &str = "viewer-secret-00001";
const KEYS: &str = "wall:viewer:viewer-secret-00001,boss:admin:admin-secret-000001";

fn deployed(path: &str) -> PathBuf {
    project().join("deploy").join(path)
}

/// Runs promtool with `input`; what it says when it finds a fault.
fn promtool(arguments: &[&str], input: &str) -> Result<(), String> {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(deployed("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; to install it: apt-get install prometheus");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("to write");
    let output = child.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// Every expression of the dashboard, with what Grafana puts in for its variables.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(deployed("grafana/stream-manager.json")).expect("a file");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled = targets.map(|target| {
        let expression = target["expr"].as_str().expect("an expression");
        expression.replace("$instance", ".+").replace("$__rate_interval", "20s")
    });
    filled.collect()
}

/// The metrics that an expression, or a file of them, names.
fn named(text: &str) -> BTreeSet<&str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_of_name(c));
    words
        .filter(|word| word.starts_with("stream_manager_") || word.starts_with("process_"))
        .collect()
}

#[test]
fn the_alerts_alert() {
    promtool(&["check", "rules", "alerts.yml"], "").unwrap_or_else(|said| panic!("{said}"));
    promtool(&["test", "rules", "alerts.test.yml"], "").unwrap_or_else(|said| panic!("{said}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_finds_all_that_alerts_and_dashboard_name() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("API_KEYS", KEYS)]).await;
    let start = serde_json::json!({ "indicator_id": "cam", "rtsp_link": camera.link("h264") });
    let started =
        manager.ask("admin-secret-000001", Method::POST, "/api/stream/start", &start).await;
    assert_eq!(started.status, 200, "{started:?}");
    let text = eventually("FFmpeg was looked at", || async {
        let answer = manager.ask(KEY, Method::GET, "/metrics", &Value::Null).await;
        let text = answer.body.as_str().map(str::to_owned)?;
        text.contains("ffmpeg_memory_bytes{").then_some(text)
    })
    .await;
    promtool(&["check", "metrics"], &text).unwrap_or_else(|said| panic!("{said}\n{text}"));

    let metrics = Metrics::read(&text);
    let there: BTreeSet<_> = metrics.names().collect();
    let alerts = std::fs::read_to_string(deployed("prometheus/alerts.yml")).expect("a file");
    let dashboard = dashboard();
    for text in dashboard.iter().chain([&alerts]) {
        let missing: Vec<_> = named(text).difference(&there).copied().collect();
        assert!(missing.is_empty(), "there is no {missing:?}: {text}");
    }

    let prometheus = Prometheus::start(&manager).await;
    eventually("Prometheus has asked twice", || async {
        let asked = prometheus.query("count_over_time(up{job=\"stream-manager\"}[1m]) >= 3").await;
        asked.filter(|found| !found.is_empty())
    })
    .await;
    let up = prometheus.query("up{job=\"stream-manager\"} == 1").await;
    assert!(up.is_some_and(|up| !up.is_empty()), "{}", prometheus.log());
    for expression in &dashboard {
        let found = prometheus.query(expression).await;
        let found = found.unwrap_or_else(|| panic!("Prometheus cannot answer {expression}"));
        // Some show only what is more than nothing.
        let may_be_empty = expression.contains(" > 0") || expression.contains(" == 0");
        assert!(may_be_empty || !found.is_empty(), "nothing is found by {expression}");
    }
}

/// A Prometheus with the shipped example.
struct Prometheus {
    process: Process,
    dir: TempDir,
    port: u16,
    client: reqwest::Client,
}

impl Prometheus {
    async fn start(manager: &Manager) -> Self {
        // As with nginx: another port when somebody else was faster.
        loop {
            if let Some(prometheus) = Self::start_on(free_port(), manager).await {
                return prometheus;
            }
        }
    }

    async fn start_on(port: u16, manager: &Manager) -> Option<Self> {
        let dir = TempDir::new().expect("a directory");
        let example = std::fs::read_to_string(deployed("prometheus/prometheus.yml"));
        let config = example.expect("a file").replace("127.0.0.1:8088", manager.address());
        let config = config.replace("_interval: 15s", "_interval: 1s");
        assert!(config.contains(manager.address()) && config.contains("scrape_interval: 1s"));
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("prometheus.yml"), config).expect("to write");
        std::fs::write(path("stream-manager.key"), KEY).expect("to write");
        std::fs::copy(deployed("prometheus/alerts.yml"), path("alerts.yml")).expect("to copy");
        let log = std::fs::File::create(path("log")).expect("a log");
        let process = Process::start("prometheus", |command| {
            command
                .arg(format!("--config.file={}", path("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", path("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stdout(log.try_clone().expect("a log"))
                .stderr(log);
        });
        let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
        let mut prometheus = Self { process, dir, port, client };
        let is_there = eventually("Prometheus answers", || {
            let has_ended = prometheus.process.exit_code().is_some();
            let url = format!("http://127.0.0.1:{port}/-/ready");
            let request = prometheus.client.get(url).send();
            async move {
                let is_ready = request.await.is_ok_and(|answer| answer.status() == 200);
                (has_ended || is_ready).then_some(is_ready)
            }
        })
        .await;
        assert!(
            is_there || prometheus.log().contains("address already in use"),
            "{}",
            prometheus.log()
        );
        is_there.then_some(prometheus)
    }

    /// What an expression yields now; `None` when Prometheus refuses it.
    async fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let request = self.client.get(url).query(&[("query", expression)]);
        let answer = request.send().await.expect("an answer");
        let body: Value = answer.json().await.expect("JSON");
        (body["status"] == "success").then(|| body["data"]["result"].as_array().cloned())?
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}
