//! The cameras that are known: where their video comes from and what was learned about them.
//!
//! Kept in memory. Whether a camera's stream runs is `crate::stream`'s business.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use crate::error::{Error, ErrorKind};
use crate::ffmpeg::args::Plan;
use crate::stream::key::CameraId;
use crate::stream::source::Source;

/// Cameras known at most, so that a faulty caller cannot fill the memory.
const MAX_CAMERAS: usize = 100_000;

/// A known camera. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Its id.
    pub id: CameraId,
    /// Where its video comes from.
    pub source: Source,
    /// How it is best ingested.
    pub learned: Learned,
    /// Which numbers its streams may use.
    pub numbers: Numbers,
}

impl Camera {
    /// A camera about which nothing is learned yet.
    pub fn new(id: CameraId, source: Source) -> Self {
        Self { id, source, learned: Learned::default(), numbers: Numbers::default() }
    }
}

/// Numbers of segments and generations, which no two streams of a camera may share: players and
/// caches know files by them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Numbers(Arc<AtomicU64>);

impl Numbers {
    /// The first number of a new stream: `at_least`, or more.
    pub fn first(&self, at_least: u64) -> u64 {
        self.0.load(Ordering::Relaxed).max(at_least)
    }

    /// A stream that has ended used no number from `next` on.
    pub fn used(&self, next: u64) {
        // One more: a player may have been told of the segment that never came.
        self.0.fetch_max(next + 1, Ordering::Relaxed);
    }
}

/// The plan that worked last for a source. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Learned(Arc<Mutex<Plan>>);

impl Learned {
    /// The plan to begin with.
    pub fn get(&self) -> Plan {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a plan that is better.
    pub fn set(&self, plan: Plan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }
}

/// All known cameras.
#[derive(Debug, Default)]
pub struct Cameras {
    cameras: DashMap<CameraId, Camera>,
}

impl Cameras {
    /// The camera, if it is known.
    pub fn get(&self, id: &CameraId) -> Option<Camera> {
        self.cameras.get(id).map(|camera| camera.value().clone())
    }

    /// Makes the camera known under `source`. What was learned about it stays as long as its
    /// source does.
    pub fn put(&self, id: CameraId, source: Source) -> Result<Camera, Error> {
        if self.cameras.len() >= MAX_CAMERAS && !self.cameras.contains_key(&id) {
            return Err(Error::new(
                ErrorKind::TooManyStreams,
                format!("{MAX_CAMERAS} cameras are known already; no further one can be added"),
            ));
        }
        let mut camera = self
            .cameras
            .entry(id.clone())
            .or_insert_with(|| Camera::new(id.clone(), source.clone()));
        if camera.source != source {
            let numbers = camera.numbers.clone();
            *camera = Camera { numbers, ..Camera::new(id, source) };
        }
        Ok(camera.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffmpeg::args::Audio;

    #[test]
    fn a_plan_is_remembered_as_long_as_the_source_stays() {
        let cameras = Cameras::default();
        let id = CameraId::parse("1").expect("an id");
        let first = Source::parse("rtsp://cam/a").expect("a link");
        let plan = Plan { audio: Audio::ToAac, ..Plan::default() };
        assert!(cameras.get(&id).is_none());
        cameras.put(id.clone(), first.clone()).expect("room").learned.set(plan);
        assert_eq!(cameras.put(id.clone(), first).expect("room").learned.get(), plan);
        let second = Source::parse("rtsp://cam/b").expect("a link");
        assert_eq!(
            cameras.put(id.clone(), second.clone()).expect("room").learned.get(),
            Plan::default()
        );
        assert_eq!(cameras.get(&id).expect("the camera").source, second);
    }
}
