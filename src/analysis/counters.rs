//! Counters of the analysis since the manager started. They cover all cameras.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The buckets of the age of analysed pictures, in seconds. Motion is to be reported within half a second.
const AGE_SECONDS: [f64; 8] = [0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0];

/// The counters. Cheap to clone; clones share the values.
#[derive(Debug, Clone)]
pub(crate) struct AnalysisCounters {
    cameras: Gauge,
    pictures: Counter,
    skipped: Counter,
    age: Histogram,
}

/// Counts one analysed camera until it is dropped.
#[derive(Debug)]
pub(super) struct CountedCamera(Gauge);

impl Drop for CountedCamera {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for AnalysisCounters {
    fn default() -> Self {
        Self {
            cameras: Gauge::default(),
            pictures: Counter::default(),
            skipped: Counter::default(),
            age: Histogram::new(AGE_SECONDS),
        }
    }
}

impl AnalysisCounters {
    /// Registers the counters in `to`, with their names and help texts.
    pub(crate) fn register(&self, to: &mut Registry) {
        let help = "Cameras whose pictures are analysed for motion";
        to.register("analysed_cameras", help, self.cameras.clone());
        let help = "Pictures that were analysed for motion";
        to.register("analysed_pictures", help, self.pictures.clone());
        let help = "Pictures that were not analysed, because a newer one had arrived";
        to.register("analysed_pictures_skipped", help, self.skipped.clone());
        let help = "Time from the arrival of a frame until its picture was analysed";
        to.register_with_unit("analysed_picture_age", help, Unit::Seconds, self.age.clone());
    }

    /// Counts an analysed camera until the returned value is dropped.
    pub(super) fn camera(&self) -> CountedCamera {
        self.cameras.inc();
        CountedCamera(self.cameras.clone())
    }

    /// Counts a picture that was analysed at this age, and the pictures that were skipped before it.
    pub(crate) fn analysed(&self, age: Duration, skipped: u64) {
        self.pictures.inc();
        self.skipped.inc_by(skipped);
        self.age.observe(age.as_secs_f64());
    }
}
