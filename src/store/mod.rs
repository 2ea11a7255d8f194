//! The cameras that are known: where their video comes from and what was learned about them.
//!
//! Kept in memory. Whether a camera's stream runs is `crate::stream`'s business.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::error::{Error, ErrorKind};
use crate::ffmpeg::plan::Plan;
use crate::stream::key::CameraId;
use crate::stream::options::{OptionChanges, StreamOptions};
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
    /// What the operator chose for its stream.
    pub options: StreamOptions,
    /// How it is best ingested.
    pub learned: Learned,
    /// Which numbers its streams may use.
    pub numbers: Numbers,
}

impl Camera {
    /// A camera about which nothing is learned yet.
    pub fn new(id: CameraId, source: Source, options: StreamOptions) -> Self {
        let learned = Learned(Arc::new(Mutex::new(Plan::first(options))));
        Self { id, source, options, learned, numbers: Numbers::default() }
    }

    /// Whether a stream of `other` shows the same.
    pub fn is_same_stream(&self, other: &Self) -> bool {
        self.source == other.source && self.options == other.options
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
#[derive(Debug, Clone)]
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

    /// Changes the camera, which becomes known with its first `source`; what is not given stays as
    /// it is. What was learned about it stays as long as source and options do. `None` when the
    /// camera is not known and no source is given.
    pub fn put(
        &self,
        id: CameraId,
        source: Option<Source>,
        changes: OptionChanges,
    ) -> Result<Option<Camera>, Error> {
        // Before the entry is held: looking at the whole map then would wait for itself.
        let is_full = self.cameras.len() >= MAX_CAMERAS;
        match self.cameras.entry(id.clone()) {
            Entry::Occupied(mut known) => {
                let old = known.get();
                let source = source.unwrap_or_else(|| old.source.clone());
                let new = Camera {
                    numbers: old.numbers.clone(),
                    ..Camera::new(id, source, old.options.with(changes))
                };
                if !new.is_same_stream(old) {
                    known.insert(new);
                }
                Ok(Some(known.get().clone()))
            }
            Entry::Vacant(_) if is_full => Err(Error::new(
                ErrorKind::TooManyStreams,
                format!("{MAX_CAMERAS} cameras are known already; no further one can be added"),
            )),
            Entry::Vacant(free) => {
                let options = StreamOptions::default().with(changes);
                let camera = source.map(|source| Camera::new(id, source, options));
                Ok(camera.map(|camera| free.insert(camera).value().clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffmpeg::plan::Audio;
    use crate::stream::options::AudioOption;

    fn put(cameras: &Cameras, link: Option<&str>, changes: OptionChanges) -> Option<Camera> {
        let id = CameraId::parse("1").expect("an id");
        let source = link.map(|link| Source::parse(link).expect("a link"));
        cameras.put(id, source, changes).expect("room")
    }

    #[test]
    fn a_plan_is_remembered_as_long_as_source_and_options_stay() {
        let cameras = Cameras::default();
        let (link, unchanged) = (Some("rtsp://cam/a"), OptionChanges::default());
        let plan = Plan { audio: Audio::ToAac, ..Plan::default() };
        assert!(put(&cameras, None, unchanged).is_none());
        put(&cameras, link, unchanged).expect("a camera").learned.set(plan);
        for link in [link, None] {
            assert_eq!(put(&cameras, link, unchanged).expect("a camera").learned.get(), plan);
        }
        let other = put(&cameras, Some("rtsp://cam/b"), unchanged).expect("a camera");
        assert_eq!(other.learned.get(), Plan::default());

        let silent = OptionChanges { audio: Some(AudioOption::Off), ..unchanged };
        let other = put(&cameras, None, silent).expect("a camera");
        assert_eq!(
            (other.source.to_string().as_str(), other.learned.get().audio),
            ("rtsp://cam/b", Audio::Off)
        );
        assert_eq!(
            put(&cameras, link, unchanged).expect("a camera").options.audio,
            AudioOption::Off
        );
    }
}
