//! Stores motion as events.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::watcher::Motion;
use crate::base::error::Error;
use crate::base::time::unix_millis;
use crate::events::kinds::MOTION;
use crate::motion::boxes::MotionBox;
use crate::store::event_log::report::Report;
use crate::store::{AnalysedCamera, EventLog};

/// The time after which motion that could not be stored is stored again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Stores the motion of one camera.
pub(crate) struct MotionReporter {
    log: EventLog,
    camera: AnalysedCamera,
    /// The number of the stored event of the present motion; `None` if there is none.
    number: Option<i64>,
    /// Motion that could not be stored, and the time of the next attempt.
    unstored: Option<(Motion, Instant)>,
}

impl MotionReporter {
    /// Creates a reporter of a camera without motion.
    pub(crate) fn new(log: EventLog, camera: AnalysedCamera) -> Self {
        Self { log, camera, number: None, unstored: None }
    }

    /// Stores motion that has begun or ended. If that fails, [`MotionReporter::retry`] tries again.
    pub(crate) async fn report(&mut self, motion: Motion) {
        // The beginning that could not be stored is a part of this motion.
        self.unstored = None;
        if let Err(error) = self.store(&motion).await {
            let camera = &self.camera.id;
            warn!(%camera, %error, "cannot store an event about motion; retrying");
            self.unstored = Some((motion, Instant::now() + RETRY_AFTER));
        }
    }

    /// Stores motion that could not be stored before, if it is time for another attempt.
    pub(crate) async fn retry(&mut self) {
        let is_due = |(_, at): &mut (Motion, Instant)| *at <= Instant::now();
        let Some((motion, _)) = self.unstored.take_if(is_due) else { return };
        if let Err(error) = self.store(&motion).await {
            debug!(camera = %self.camera.id, %error, "cannot store an event about motion; retrying");
            self.unstored = Some((motion, Instant::now() + RETRY_AFTER));
        }
    }

    async fn store(&mut self, motion: &Motion) -> Result<(), Error> {
        let report = Report {
            camera: self.camera.id.clone(),
            identity: self.camera.identity.clone(),
            kind: MOTION.to_owned(),
            id: None,
            number: self.number,
            at: unix_millis(motion.began_at),
            until: motion.ended_at.map(unix_millis),
            label: None,
            data: Arc::new(data(motion)),
        };
        // The log responds in any case, at the latest when the database has refused the event.
        let number = self.log.report(report).await?.row.id;
        self.number = motion.ended_at.is_none().then_some(number);
        Ok(())
    }
}

/// Returns the details of an event.
fn data(motion: &Motion) -> Map<String, Value> {
    let boxes: Vec<_> = motion.boxes.iter().copied().map(box_of).collect();
    let data = [
        ("source", json!("pictures")),
        ("peak", json!(rounded(motion.peak))),
        ("boxes", Value::Array(boxes)),
    ];
    data.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

fn box_of(one: MotionBox) -> Value {
    let [left, top, width, height] = one.parts().map(rounded);
    json!({ "left": left, "top": top, "width": width, "height": height })
}

/// Returns a part of the picture with four decimal digits.
pub(crate) fn rounded(part: f32) -> f64 {
    (f64::from(part) * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn details_have_boxes_in_parts_of_the_picture() {
        let motion = Motion {
            began_at: SystemTime::UNIX_EPOCH,
            ended_at: None,
            boxes: vec![MotionBox { left: 16, top: 9, right: 48, bottom: 90 }],
            peak: 0.123_45,
        };
        let expected = json!({
            "source": "pictures", "peak": 0.1235,
            "boxes": [{ "left": 0.1, "top": 0.1, "width": 0.2, "height": 0.9 }],
        });
        assert_eq!(Value::Object(data(&motion)), expected);
    }
}
