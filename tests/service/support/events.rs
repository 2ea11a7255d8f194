//! Events that the test cameras and the ONVIF device write to stdout, one JSON object per line.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::eventually;
use super::process::{Process, lines_of};

/// The events that one device has written so far. A thread collects them.
pub(super) struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    /// Collects the events of a process, whose stdout must be a pipe.
    pub(super) fn of(process: &mut Process) -> Self {
        Self(lines_of(process.child().stdout.take().expect("a pipe")))
    }

    /// Returns the events with this name so far.
    pub(super) fn named(&self, name: &str) -> Vec<Value> {
        let lines = self.0.lock().expect("events");
        let events = lines
            .iter()
            .map(|line| -> Value { serde_json::from_str(line).expect("an event in JSON") });
        events.filter(|event| event["event"] == name).collect()
    }

    /// Waits until the process reports that it is ready, and returns the port that it listens on.
    pub(super) async fn port(&self) -> u16 {
        let port = eventually("the test device listens", || {
            let ready = self.named("ready");
            async move { ready.first()?["port"].as_u64() }
        });
        port.await.try_into().expect("a port")
    }
}
