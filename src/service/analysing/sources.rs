//! The choice of the stream whose pictures are analysed. Decoding costs by far the most, so the sub stream is used if the
//! camera has one, and the main stream as long as the sub stream fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{Instrument as _, debug};

use crate::base::backoff::Exponential;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::pictures::live::form::Form;
use crate::pictures::live::reader::{PictureReader, ended};
use crate::pictures::live::{PictureSpec, SubStream};
use crate::pictures::picture::Picture;
use crate::service::core::Core;
use crate::service::keeping;
use crate::service::live_pictures::{has_failed_to_start, is_failure_of_stream};
use crate::store::AnalysedCamera;
use crate::stream::handle::StreamHandle;
use crate::stream::interest::{Interest, Purpose};
use crate::stream::kept::Hold;
use crate::stream::state::State;

/// The analysed pictures. Twice as many would find motion 0.1 s earlier, and cost up to twice the processor time.
pub(super) const SPEC: PictureSpec = PictureSpec { form: Form::Grey, rate: 5.0 };
/// The time between two checks of a stream without pictures.
const CHECK: Duration = Duration::from_secs(1);
/// The time after which a stream is without pictures.
const MISSING_AFTER: Duration = Duration::from_secs(3);
/// The time that a sub stream has for its first picture while the main stream is used.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time between two attempts to open a stream.
const OPEN_INTERVAL: Duration = Duration::from_secs(2);
/// The pause before the sub stream is tried again if it has not failed, but waits to start, for example.
const SUB_AGAIN: Duration = Duration::from_secs(30);
/// The pauses before the sub stream is tried again after a failure. A camera that permits only one connection refuses each
/// attempt.
const SUB_PAUSES: Exponential =
    Exponential { first: Duration::from_mins(3), ceiling: Duration::from_mins(20) };

/// What happens next.
pub(super) enum Next {
    /// There is a picture.
    Picture {
        /// The stream of the picture.
        profile: Profile,
        picture: Arc<Picture>,
        /// The number of pictures that were skipped before this one, because the analysis was too slow.
        skipped: u64,
        /// The largest number of pictures per second at the moment. It is lower while the machine is too busy to decode them.
        rate: f64,
    },
    /// There are no pictures at the moment, for this reason, if it is known.
    Without(Option<Error>),
}

/// The streams of one camera.
pub(super) struct Sources {
    core: Arc<Core>,
    camera: CameraId,
    has_main: bool,
    has_sub: bool,
    current: Option<Source>,
    /// The reasons to keep the streams that are analysed. One outlasts the end of its stream, so that a stream that a client has
    /// stopped stays stopped.
    holds: Vec<Hold>,
    /// The time from which a stream can be opened.
    open_at: Instant,
    /// The search for pictures of the sub stream while the main stream is used.
    search: JoinSet<Result<Found, Missing>>,
    /// The time from which the sub stream is tried.
    sub_at: Instant,
    /// The number of failures of the sub stream since its last picture.
    failures: u32,
    checks: Interval,
}

/// A stream with its first picture, and the reason to keep it.
type Found = (Hold, Source, Arc<Picture>);

/// The reason why the sub stream has no picture.
struct Missing {
    error: Error,
    /// True if the stream has failed, and does not only need more time.
    has_failed: bool,
}

/// The pictures of one stream.
struct Source {
    profile: Profile,
    stream: StreamHandle,
    reader: PictureReader,
    /// The number of pictures that were skipped, as far as it was reported.
    skipped: u64,
    /// The time of the last picture, or of the beginning.
    picture_at: Instant,
    _interest: Interest,
}

impl Sources {
    /// Creates the choice between the streams of a camera. Opens no stream yet. `holds` are those of the camera's analysis
    /// before its last change.
    pub(super) fn new(core: &Arc<Core>, camera: &AnalysedCamera, mut holds: Vec<Hold>) -> Self {
        let has = |wanted| camera.sources.iter().any(|(profile, _)| *profile == wanted);
        holds.retain(|hold| has(hold.id().profile()));
        let mut checks = interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        Self {
            core: Arc::clone(core),
            camera: camera.id.clone(),
            has_main: has(Profile::Main),
            has_sub: has(Profile::Sub),
            current: None,
            holds,
            open_at: now,
            search: JoinSet::new(),
            sub_at: now,
            failures: 0,
            checks,
        }
    }

    /// Ends the analysis, but keeps its streams as long as the returned value exists.
    pub(super) fn into_holds(self) -> Vec<Hold> {
        self.holds
    }

    /// Waits for the next picture, or until it is clear that there are none. Can be cancelled and called again.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let is_search_due = self.is_search_due();
            let Some(current) = &mut self.current else {
                sleep_until(self.open_at).await;
                self.open_at = Instant::now() + OPEN_INTERVAL;
                let id = self.id(self.choice());
                if !self.holds.iter().any(|hold| *hold.id() == id) {
                    self.holds.push(self.core.registry.hold(&id));
                }
                match open(&self.core, &id).await {
                    Ok(source) => self.current = Some(source),
                    Err(error) => return Next::Without(Some(error)),
                }
                continue;
            };
            tokio::select! {
                read = current.reader.next() => match read {
                    Ok(picture) => return self.note(picture),
                    Err(error) => return self.fail(error),
                },
                () = current.stream.ending() => self.current = None,
                _ = self.checks.tick() => {
                    if let Some(next) = self.check() {
                        return next;
                    }
                }
                Some(found) = self.search.join_next() => match found {
                    Ok(Ok((hold, source, picture))) => {
                        self.holds.push(hold);
                        self.current = Some(source);
                        return self.note(picture);
                    }
                    Ok(Err(Missing { error, has_failed })) => self.fail_sub(&error, has_failed),
                    Err(panic) => {
                        let error = Error::new(ErrorKind::Internal, "the search failed");
                        self.fail_sub(&error.caused_by(panic), false);
                    }
                },
                () = sleep_until(self.sub_at), if is_search_due => self.begin_search(),
            }
        }
    }

    fn id(&self, profile: Profile) -> StreamId {
        StreamId::new(self.camera.clone(), profile)
    }

    /// Returns the stream to open.
    fn choice(&self) -> Profile {
        let is_sub = self.has_sub && (!self.has_main || Instant::now() >= self.sub_at);
        let has_failed = || self.core.pictures.known(&self.id(Profile::Sub));
        if is_sub && (!self.has_main || has_failed() != Some(SubStream::Failed)) {
            return Profile::Sub;
        }
        Profile::Main
    }

    fn is_search_due(&self) -> bool {
        let is_main = |source: &Source| source.profile == Profile::Main;
        self.has_sub && self.search.is_empty() && self.current.as_ref().is_some_and(is_main)
    }

    fn begin_search(&mut self) {
        let (core, id) = (Arc::clone(&self.core), self.id(Profile::Sub));
        if core.pictures.known(&id) == Some(SubStream::Failed) {
            // A viewer has just tried it.
            self.sub_at = Instant::now() + SUB_PAUSES.delay(self.failures);
            return;
        }
        self.search.spawn(async move { first_picture(&core, &id).await }.in_current_span());
    }

    fn note(&mut self, picture: Arc<Picture>) -> Next {
        let Some(current) = &mut self.current else { return Next::Without(None) };
        let all = current.reader.skipped();
        let skipped = all - std::mem::replace(&mut current.skipped, all);
        current.picture_at = Instant::now();
        let (profile, rate) = (current.profile, current.reader.rate());
        self.holds.retain(|hold| hold.id().profile() == profile);
        if profile == Profile::Sub {
            self.failures = 0;
        }
        Next::Picture { profile, picture, skipped, rate }
    }

    /// Closes a stream that has no pictures for this reason.
    fn fail(&mut self, error: Error) -> Next {
        let is_sub = self.current.take().is_some_and(|source| source.profile == Profile::Sub);
        if is_sub && error.kind != ErrorKind::StreamEnded {
            self.fail_sub(&error, true);
        }
        Next::Without(Some(error))
    }

    /// Notes that the sub stream has no pictures. The main stream is used for a while. If the sub stream has failed, viewers do
    /// not use it either for a while.
    fn fail_sub(&mut self, error: &Error, has_failed: bool) {
        let has_failed = has_failed && is_failure_of_stream(error.kind);
        debug!(camera = %self.camera, %error, has_failed, "the sub stream cannot be analysed");
        let pause = if has_failed {
            self.core.pictures.learn(&self.id(Profile::Sub), SubStream::Failed);
            let earlier = self.failures;
            self.failures = earlier.saturating_add(1);
            SUB_PAUSES.delay(earlier)
        } else {
            SUB_AGAIN
        };
        let now = Instant::now();
        (self.sub_at, self.open_at) = (now + pause, now);
        // The camera may permit only one connection.
        self.holds.retain(|hold| !self.has_main || hold.id().profile() != Profile::Sub);
    }

    /// Returns what follows if the current stream has had no picture for some time.
    fn check(&mut self) -> Option<Next> {
        let current = self.current.as_ref()?;
        let missing_for = current.picture_at.elapsed();
        let has_failed = has_failed_to_start(current.stream.state());
        let error = current.stream.status().last_error.map(|(error, _)| error);
        let is_sub = current.profile == Profile::Sub && self.has_main;
        let is_missing = missing_for >= MISSING_AFTER;
        // A stream that waits to be started has not failed: after a restart of the manager, many streams wait.
        if is_sub && has_failed && is_missing {
            let error = error.unwrap_or_else(too_late);
            return Some(self.fail(error));
        }
        is_missing.then_some(Next::Without(error))
    }
}

/// Opens a stream for which there is a hold. Starts it if it is not running.
async fn open(core: &Arc<Core>, id: &StreamId) -> Result<Source, Error> {
    keeping::start(core, id).await?;
    let running = core.registry.get(id).filter(|stream| !stream.is_ending());
    let stream = running.ok_or_else(|| {
        let detail =
            "the stream was stopped; motion is detected again when a client starts the stream";
        Error::new(ErrorKind::Stopped, detail)
    })?;
    let interest = stream.interest(Purpose::Analysis);
    let reader = core.pictures.read(&stream, SPEC)?;
    let (profile, picture_at) = (id.profile(), Instant::now());
    Ok(Source { profile, stream, reader, skipped: 0, picture_at, _interest: interest })
}

/// Opens the sub stream, and waits for its first picture, for a limited time.
async fn first_picture(core: &Arc<Core>, id: &StreamId) -> Result<Found, Missing> {
    let hold = core.registry.hold(id);
    let opened = open(core, id).await;
    let mut source = opened.map_err(|error| Missing { error, has_failed: false })?;
    let first = async {
        tokio::select! {
            picture = source.reader.next() => picture,
            () = source.stream.ending() => Err(ended()),
        }
    };
    let first = timeout(PATIENCE, first).await.unwrap_or_else(|_| Err(too_late()));
    match first {
        Ok(picture) => Ok((hold, source, picture)),
        Err(error) => {
            // After a restart of the manager, many streams wait to start.
            let has_failed = source.stream.state() != State::Starting;
            Err(Missing { error, has_failed })
        }
    }
}

fn too_late() -> Error {
    let seconds = PATIENCE.as_secs();
    let detail = format!("the camera's sub stream had no picture within {seconds} s");
    Error::new(ErrorKind::SourceTimeout, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::identity::Identity;
    use crate::camera::motion::MotionOptions;
    use crate::camera::source::Source as Link;
    use crate::service::testing::Setup;

    #[tokio::test]
    async fn only_a_failure_of_the_sub_stream_concerns_its_viewers() {
        let setup = Setup::new("boss:admin:boss-secret-0001").await;
        let link = || Link::parse("rtsp://cam/a").expect("a link");
        let camera = AnalysedCamera {
            id: CameraId::parse("cam").expect("an id"),
            identity: Identity::default(),
            motion: MotionOptions::default(),
            sources: vec![(Profile::Main, link()), (Profile::Sub, link())],
        };
        let mut sources = Sources::new(&setup.core, &camera, Vec::new());
        let sub = sources.id(Profile::Sub);
        assert_eq!(sources.choice(), Profile::Sub);
        for (kind, has_failed) in [
            (ErrorKind::Stopped, true),
            (ErrorKind::TooManyStreams, true),
            (ErrorKind::ShuttingDown, true),
            (ErrorKind::StorageUnavailable, true),
            (ErrorKind::SourceTimeout, false),
        ] {
            sources.fail_sub(&Error::new(kind, "no picture"), has_failed);
            assert_eq!(setup.core.pictures.known(&sub), None, "{kind:?}");
            assert_eq!((sources.choice(), sources.failures), (Profile::Main, 0), "{kind:?}");
            assert!(sources.sub_at <= Instant::now() + SUB_AGAIN, "{kind:?}");
        }
        sources.fail_sub(&Error::new(ErrorKind::SourceBusy, "no picture"), true);
        assert_eq!(setup.core.pictures.known(&sub), Some(SubStream::Failed));
        assert!(sources.sub_at > Instant::now() + SUB_AGAIN);
    }

    #[tokio::test]
    async fn a_sub_stream_that_cannot_be_opened_has_not_failed() {
        let setup = Setup::new("boss:admin:boss-secret-0001").await;
        let id = StreamId::parse("cam~sub").expect("an id");
        // The camera does not exist.
        let missing = first_picture(&setup.core, &id).await.err().expect("no picture");
        assert!(!missing.has_failed, "{}", missing.error);
    }
}
