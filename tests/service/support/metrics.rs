//! What the manager's `/metrics` says.

use std::collections::BTreeMap;
use std::fmt;

use super::{Manager, eventually};

/// The samples of one scrape, by name and labels as they are written.
#[derive(Debug)]
pub struct Metrics {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    pub async fn of(manager: &Manager) -> Self {
        let answer = manager.get("/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Self::read(answer.body.as_str().expect("a text"))
    }

    pub fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self { samples: samples.collect(), text: text.to_owned() }
    }

    /// Waits until what `manager` says meets `condition`.
    pub async fn until(manager: &Manager, what: &str, condition: impl Fn(&Self) -> bool) -> Self {
        eventually(what, || async {
            let metrics = Self::of(manager).await;
            condition(&metrics).then_some(metrics)
        })
        .await
    }

    /// The value of a sample, which is named with its labels.
    pub fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// The names of all samples, without labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(|sample| sample.split('{').next().unwrap_or_default())
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
