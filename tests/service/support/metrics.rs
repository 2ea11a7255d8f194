//! The samples that the manager exposes at `/metrics`.

use std::collections::BTreeMap;
use std::fmt;

use super::{Manager, eventually};

/// The samples of one scrape, keyed by name and labels as they appear in the text.
#[derive(Debug)]
pub(crate) struct Metrics {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// Fetches the metrics of a manager without API keys.
    pub(crate) async fn fetch(manager: &Manager) -> Self {
        let response = manager.get("/metrics").await;
        assert_eq!(response.status, 200, "{response:?}");
        Self::parse(response.body.as_str().expect("a string"))
    }

    /// Parses the Prometheus text format.
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self { samples: samples.collect(), text: text.to_owned() }
    }

    /// Fetches the metrics until they meet `condition`, and returns them.
    pub(crate) async fn until(
        manager: &Manager,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) -> Self {
        eventually(what, || async {
            let metrics = Self::fetch(manager).await;
            condition(&metrics).then_some(metrics)
        })
        .await
    }

    /// Returns the value of a sample, which is identified by its name and labels.
    pub(crate) fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// Returns the names of all samples, without labels.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(|sample| sample.split('{').next().unwrap_or_default())
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
