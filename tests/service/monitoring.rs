//! The shipped alerts and dashboard, checked with a real Prometheus that scrapes the service with the
//! example configuration.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::recordings::RECORDINGS;
use crate::support::{
    Camera, Manager, Metrics, Process, TIMEOUT, eventually, free_port, project_dir,
};

const KEY: &str = "viewer-secret-00001";
const KEYS: &str = "wall:viewer:viewer-secret-00001,boss:admin:admin-secret-000001";

/// Returns the absolute path of a file in `deploy/`.
fn deployed(path: &str) -> PathBuf {
    project_dir().join("deploy").join(path)
}

/// Runs promtool with `input` on stdin. Returns promtool's output as an error if it reports a problem.
fn promtool(arguments: &[&str], input: &str) -> Result<(), String> {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(deployed("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; install it with: apt-get install prometheus");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("a write");
    let output = child.wait_with_output().expect("an exit status");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() { Ok(()) } else { Err(text) }
}

/// Returns every expression of the dashboard. Grafana's variables are replaced by values.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(deployed("grafana/stream-manager.json")).expect("a file");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions = targets.map(|target| {
        let expression = target["expr"].as_str().expect("an expression");
        expression.replace("$instance", ".+").replace("$__rate_interval", "20s")
    });
    expressions.collect()
}

/// Returns the metrics that occur in an expression or in a file of expressions.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_in_name(c));
    words
        .filter(|word| word.starts_with("stream_manager_") || word.starts_with("process_"))
        .collect()
}

#[test]
fn the_alert_rules_are_valid_and_pass_their_tests() {
    promtool(&["check", "rules", "alerts.yml"], "").unwrap_or_else(|text| panic!("{text}"));
    promtool(&["test", "rules", "alerts.test.yml"], "").unwrap_or_else(|text| panic!("{text}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_every_metric_of_the_alerts_and_the_dashboard() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("API_KEYS", KEYS), RECORDINGS]).await;
    // Without viewers, the stream would end before a busy machine has evaluated all expressions.
    let record = serde_json::json!({ "rtsp_link": camera.link("h264"), "keep": "always" });
    let added = manager.call("admin-secret-000001", Method::PUT, "/api/cameras/cam", &record).await;
    assert_eq!(added.status, 201, "{added:?}");
    let text = eventually("the memory of FFmpeg is in the metrics", || async {
        let response = manager.call(KEY, Method::GET, "/metrics", &Value::Null).await;
        let text = response.body.as_str().map(str::to_owned)?;
        text.contains("ffmpeg_memory_bytes{").then_some(text)
    })
    .await;
    promtool(&["check", "metrics"], &text).unwrap_or_else(|output| panic!("{output}\n{text}"));

    let metrics = Metrics::parse(&text);
    let exposed: BTreeSet<_> = metrics.names().collect();
    let alerts = std::fs::read_to_string(deployed("prometheus/alerts.yml")).expect("a file");
    let dashboard = dashboard();
    for text in dashboard.iter().chain([&alerts]) {
        let missing: Vec<_> = metrics_in(text).difference(&exposed).copied().collect();
        assert!(missing.is_empty(), "the manager does not expose {missing:?}: {text}");
    }

    let prometheus = Prometheus::start(&manager).await;
    eventually("Prometheus has scraped three times", || async {
        let query = "count_over_time(up{job=\"stream-manager\"}[1m]) >= 3";
        prometheus.query(query).await.filter(|samples| !samples.is_empty())
    })
    .await;
    for expression in dashboard.iter().map(String::as_str).chain(["up == 1"]) {
        // Expressions with a comparison have no result while the comparison is false.
        let can_be_empty = expression.contains(" > 0") || expression.contains(" == 0");
        // After a scrape that took too long, nothing has a result until the next scrape.
        eventually(&format!("{expression} has a result"), || async {
            let samples = prometheus.query(expression).await;
            let samples = samples.unwrap_or_else(|| panic!("Prometheus rejects {expression}"));
            (can_be_empty || !samples.is_empty()).then_some(())
        })
        .await;
    }
}

/// A Prometheus with the shipped example configuration.
struct Prometheus {
    process: Process,
    dir: TempDir,
    port: u16,
    client: reqwest::Client,
}

impl Prometheus {
    async fn start(manager: &Manager) -> Self {
        // If another process takes the port before Prometheus does, the next attempt uses another port.
        loop {
            if let Some(prometheus) = Self::start_on(free_port(), manager).await {
                return prometheus;
            }
        }
    }

    /// Starts Prometheus on `port`. Returns `None` if another process uses the port.
    async fn start_on(port: u16, manager: &Manager) -> Option<Self> {
        let dir = TempDir::new().expect("a directory");
        let example = std::fs::read_to_string(deployed("prometheus/prometheus.yml"));
        let config = example.expect("a file").replace("127.0.0.1:8088", manager.address());
        let config = config.replace("_interval: 15s", "_interval: 1s");
        assert!(config.contains(manager.address()) && config.contains("scrape_interval: 1s"));
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("prometheus.yml"), config).expect("a write");
        std::fs::write(path("stream-manager.key"), KEY).expect("a write");
        std::fs::copy(deployed("prometheus/alerts.yml"), path("alerts.yml")).expect("a copy");
        let log = std::fs::File::create(path("log")).expect("a log");
        let process = Process::start("prometheus", |command| {
            command
                .arg(format!("--config.file={}", path("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", path("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stdout(log.try_clone().expect("a log"))
                .stderr(log);
        });
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().expect("a client");
        let mut prometheus = Self { process, dir, port, client };
        let is_up = eventually("Prometheus responds", || {
            let has_ended = prometheus.process.exit_code().is_some();
            let url = format!("http://127.0.0.1:{port}/-/ready");
            let request = prometheus.client.get(url).send();
            async move {
                let is_ready = request.await.is_ok_and(|response| response.status() == 200);
                (has_ended || is_ready).then_some(is_ready)
            }
        })
        .await;
        assert!(
            is_up || prometheus.log().contains("address already in use"),
            "{}",
            prometheus.log()
        );
        is_up.then_some(prometheus)
    }

    /// Evaluates an expression. Returns `None` if Prometheus rejects it.
    async fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let request = self.client.get(url).query(&[("query", expression)]);
        let response = request.send().await.expect("a response");
        let body: Value = response.json().await.expect("JSON");
        (body["status"] == "success").then(|| body["data"]["result"].as_array().cloned())?
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}
