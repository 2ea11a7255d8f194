//! Decides which decoders of one stream run. Pure.
//!
//! A decoder makes pictures of the forms that were wanted when it started. If another form is wanted, a second decoder
//! starts with all forms. The first decoder continues until the second one has made a picture of each form, so that no
//! reader's pictures stop.
//!
//! A form of which a decoder has made no picture before it failed is under suspicion: other forms start without it, and it
//! is then tried alone. So a form that cannot be made fails for its own readers only.

use std::time::Duration;

use tokio::time::Instant;

use super::decoding::End;
use super::form::Form;
use super::loop_filter::LoopFilter;
use super::start_limit::StartLimit;
use crate::base::backoff::Exponential;
use crate::base::error::Error;
use crate::media::hub::ReadFrom;

/// The pauses before a decoder starts again after a failure. The first restart is immediate.
const RESTARTS: Exponential =
    Exponential { first: Duration::from_millis(500), ceiling: Duration::from_secs(30) };
/// The number of failures without a picture of a form after which the readers of this form get the error.
const FRUITLESS: u32 = 3;
/// The number of failures, with pictures in between, after which readers get the error, because the pauses have become
/// long.
const FAILURES: u32 = 6;
/// A decoder that has run for this time since its first pictures has proven that it works. Its failure counts as the first
/// one.
const PROVEN_AFTER: Duration = Duration::from_secs(30);
/// The time that the next decoder has for its first pictures before yet another one can replace it.
const REPLACED_AFTER: Duration = Duration::from_secs(6);
/// The time after which the failures of a form that is not wanted any more are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

/// A decoder to start.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Start {
    /// The number of the decoder; 1 for the first one of the stream.
    pub(super) number: u64,
    pub(super) from: ReadFrom,
    pub(super) forms: Vec<Form>,
    pub(super) skips_loop_filter: bool,
    /// True if the pictures keep their size when the camera changes the size of its picture.
    pub(super) keeps_size: bool,
}

/// An error for the readers of one form.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) form: Form,
    pub(super) error: Error,
    /// The time at which the next decoder starts.
    pub(super) until: Instant,
}

/// A decoder that is running or starting.
#[derive(Debug)]
struct Running {
    number: u64,
    forms: Vec<Form>,
    skips_loop_filter: bool,
    started_at: Instant,
    /// The time of its first pictures.
    shown_at: Option<Instant>,
}

/// A form of which no picture could be made.
#[derive(Debug)]
struct Suspect {
    form: Form,
    failures: u32,
    /// The time before which no decoder starts with this form.
    starts_at: Instant,
}

/// The decoders of one stream.
#[derive(Debug)]
pub(super) struct Plan {
    last_number: u64,
    /// The decoder whose pictures the readers get.
    current: Option<Running>,
    /// The decoder that replaces the current one when it has made pictures.
    next: Option<Running>,
    from: ReadFrom,
    loop_filter: LoopFilter,
    /// The limit of starts because other forms are wanted.
    limit: StartLimit,
    /// The limit of starts because the video has changed. A camera that changes its video again and again would otherwise
    /// keep the machine busy with starts.
    restarts: StartLimit,
    /// The limit of starts because the camera has changed the size of its picture. When it is reached, decoders keep the size
    /// instead.
    resizes: StartLimit,
    keeps_size: bool,
    /// The number of failures since a decoder has proven that it works.
    failures: u32,
    /// The time before which no decoder starts.
    starts_at: Instant,
    suspects: Vec<Suspect>,
}

impl Plan {
    /// Creates a plan without decoders.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_number: 0,
            current: None,
            next: None,
            from: ReadFrom::LastKeyframe,
            loop_filter: LoopFilter::default(),
            limit: StartLimit::new(now),
            restarts: StartLimit::new(now),
            resizes: StartLimit::new(now),
            keeps_size: false,
            failures: 0,
            starts_at: now,
            suspects: Vec::new(),
        }
    }

    /// Returns the decoder that has to be started now, if any. `gop` is the number of frames from one keyframe to the next,
    /// if it is known.
    pub(super) fn start(
        &mut self,
        wanted: &[Form],
        gop: Option<f64>,
        now: Instant,
    ) -> Option<Start> {
        let is_new = self.current.is_none();
        let is_needed = wanted.contains(&Form::Grey);
        let skips_loop_filter = self.loop_filter.is_skipped(gop, is_needed, is_new, now);
        let is_starting =
            |next: &Running| now.saturating_duration_since(next.started_at) < REPLACED_AFTER;
        if now < self.starts_at || self.next.as_ref().is_some_and(is_starting) {
            return None;
        }
        let served = self.current.as_ref().map(|it| &it.forms[..]).unwrap_or_default();
        let added = self.added(wanted, served, now);
        let current = self.current.as_ref();
        let is_outdated = current.is_some_and(|it| it.skips_loop_filter != skips_loop_filter);
        if added.is_empty() && !is_outdated {
            return None;
        }
        if !is_new && !added.is_empty() {
            if now < self.limit.possible_at() {
                return None;
            }
            self.limit.note_start(now);
        }
        let mut forms: Vec<_> = wanted.iter().filter(|it| served.contains(it)).copied().collect();
        forms.extend(added);
        if forms.is_empty() {
            return None;
        }
        self.last_number += 1;
        let number = self.last_number;
        let running = Running {
            number,
            forms: forms.clone(),
            skips_loop_filter,
            started_at: now,
            shown_at: None,
        };
        if is_new {
            self.current = Some(running);
        } else {
            self.next = Some(running);
        }
        let from = std::mem::replace(&mut self.from, ReadFrom::LastKeyframe);
        Some(Start { number, from, forms, skips_loop_filter, keeps_size: self.keeps_size })
    }

    /// Returns the wanted forms that are not served, and that a decoder can try now: the ones without suspicion, or else one
    /// of the others.
    fn added(&self, wanted: &[Form], served: &[Form], now: Instant) -> Vec<Form> {
        let missing = || wanted.iter().copied().filter(|form| !served.contains(form));
        let suspect = |form: Form| self.suspects.iter().find(|it| it.form == form);
        let trusted: Vec<_> = missing().filter(|form| suspect(*form).is_none()).collect();
        if !trusted.is_empty() {
            return trusted;
        }
        let due = missing().filter_map(suspect).filter(|it| it.starts_at <= now);
        due.min_by_key(|it| (it.failures, it.starts_at)).map(|it| it.form).into_iter().collect()
    }

    /// Returns the earliest time after `now` at which [`Plan::start`] may return another result.
    pub(super) fn next_check(&self, now: Instant) -> Option<Instant> {
        let next = self.next.as_ref().map(|next| next.started_at + REPLACED_AFTER);
        let times = self.suspects.iter().map(|it| it.starts_at);
        let times = times.chain(next).chain([self.starts_at, self.limit.possible_at()]);
        times.filter(|time| *time > now).min()
    }

    /// Returns whether a pause after a failure has not ended.
    pub(super) fn is_pausing(&self, now: Instant) -> bool {
        now < self.starts_at || self.suspects.iter().any(|it| now < it.starts_at)
    }

    /// Returns whether a decoder continues. Otherwise, it has to be stopped.
    pub(super) fn continues(&self, number: u64) -> bool {
        self.current.iter().chain(&self.next).any(|it| it.number == number)
    }

    /// Notes that a decoder has made its first picture of each form. If it is the next decoder, it replaces the current
    /// one.
    pub(super) fn note_pictures(&mut self, number: u64, now: Instant) {
        self.next.take_if(|next| next.number == number).into_iter().for_each(|next| {
            self.current = Some(next);
        });
        if let Some(shown) = self.current.as_mut().filter(|it| it.number == number) {
            shown.shown_at = Some(now);
            self.suspects.retain(|it| !shown.forms.contains(&it.form));
        }
    }

    /// Notes the end of a decoder. Returns the errors for readers.
    pub(super) fn note_end(&mut self, number: u64, end: End, now: Instant) -> Vec<Refusal> {
        let has_number = |it: &mut Running| it.number == number;
        let ended = self.next.take_if(has_number).or_else(|| {
            let ended = self.current.take_if(has_number)?;
            // The next decoder does not have to wait for its first picture any more.
            self.current = self.next.take();
            Some(ended)
        });
        // A decoder that was replaced is in neither place.
        let Some(ended) = ended else { return Vec::new() };
        match end {
            End::Stopped => Vec::new(),
            End::Changed { from, is_resized } => {
                self.from = from;
                if !is_resized || !self.note_resize(now) {
                    self.limit_restarts(now);
                }
                Vec::new()
            }
            End::AwaitsKeyframe => {
                self.from = ReadFrom::NextKeyframe;
                self.limit_restarts(now);
                Vec::new()
            }
            End::Failed { error, without } => self.note_failure(&ended, &error, &without, now),
        }
    }

    /// Notes that a decoder has ended because the camera has changed the size of its picture. Returns true if that has
    /// happened so often that decoders keep the size from now on.
    fn note_resize(&mut self, now: Instant) -> bool {
        self.resizes.note_start(now);
        let is_too_often = self.resizes.possible_at() > now;
        let is_news = is_too_often && !self.keeps_size;
        self.keeps_size |= is_too_often;
        is_news
    }

    /// Returns whether decoders keep the size of their pictures, because the camera changes the size of its picture again and
    /// again.
    pub(super) fn keeps_size(&self) -> bool {
        self.keeps_size
    }

    /// Delays the next start if decoders have ended too often because the video has changed.
    fn limit_restarts(&mut self, now: Instant) {
        self.restarts.note_start(now);
        self.starts_at = self.starts_at.max(self.restarts.possible_at());
    }

    /// Notes the failure of a decoder that has made no pictures of the forms in `without`.
    fn note_failure(
        &mut self,
        ended: &Running,
        error: &Error,
        without: &[Form],
        now: Instant,
    ) -> Vec<Refusal> {
        let served = self.current.as_ref().map(|it| it.forms.clone()).unwrap_or_default();
        let refusal = |form, until| Refusal { form, error: error.clone(), until };
        let mut refusals = Vec::new();
        let mut is_explained = false;
        self.suspects.retain(|it| now < it.starts_at + FORGOTTEN_AFTER);
        for form in without.iter().copied().filter(|form| !served.contains(form)) {
            is_explained = true;
            let (failures, starts_at) = self.suspect(form, now);
            if failures >= FRUITLESS {
                refusals.push(refusal(form, starts_at));
            }
        }
        if is_explained && ended.shown_at.is_none() {
            return refusals;
        }
        let is_proven = |at| now.saturating_duration_since(at) >= PROVEN_AFTER;
        if ended.shown_at.is_some_and(is_proven) {
            self.failures = 0;
        }
        self.starts_at = now + pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES && self.current.is_none() {
            let until = self.starts_at;
            refusals.extend(ended.forms.iter().map(|form| refusal(*form, until)));
        }
        refusals
    }

    /// Notes that a decoder has failed without a picture of this form. Returns the number of such failures, and the time at
    /// which the form is tried again.
    fn suspect(&mut self, form: Form, now: Instant) -> (u32, Instant) {
        let earlier = self.suspects.iter().position(|it| it.form == form);
        let earlier = earlier.map_or(0, |index| self.suspects.swap_remove(index).failures);
        let suspect = Suspect { form, failures: earlier + 1, starts_at: now + pause(earlier) };
        let result = (suspect.failures, suspect.starts_at);
        self.suspects.push(suspect);
        result
    }
}

/// Returns the pause after a failure. `earlier` is the number of failures before it.
fn pause(earlier: u32) -> Duration {
    earlier.checked_sub(1).map(|earlier| RESTARTS.delay(earlier)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    const FULL: Form = Form::Jpeg(None);
    const SMALL: Form = Form::Jpeg(Some(320));
    const BAD: Form = Form::Jpeg(Some(16));

    struct Test {
        plan: Plan,
        now: Instant,
        starts: Vec<Start>,
        refusals: Vec<(Form, u64)>,
        began_at: Instant,
    }

    impl Test {
        fn new() -> Self {
            let now = Instant::now();
            let plan = Plan::new(now);
            Self { plan, now, starts: Vec::new(), refusals: Vec::new(), began_at: now }
        }

        /// Lets `millis` pass. A decoder that starts ends at once if `is_good` returns false for one of its forms.
        /// Otherwise, it makes pictures.
        fn pass(&mut self, millis: u64, wanted: &[Form], is_good: impl Fn(Form) -> bool) {
            for _ in 0..millis / 10 {
                self.now += Duration::from_millis(10);
                let Some(start) = self.plan.start(wanted, None, self.now) else { continue };
                let forms = start.forms.clone();
                if forms.iter().all(|form| is_good(*form)) {
                    self.plan.note_pictures(start.number, self.now);
                } else {
                    self.fail(start.number, &forms);
                }
                self.starts.push(start);
            }
        }

        fn fail(&mut self, number: u64, without: &[Form]) {
            let error = Error::new(ErrorKind::Internal, "FFmpeg failed");
            let end = End::Failed { error, without: without.to_vec() };
            let second = self.now.duration_since(self.began_at).as_secs();
            for refusal in self.plan.note_end(number, end, self.now) {
                assert!(refusal.until >= self.now);
                self.refusals.push((refusal.form, second));
            }
        }

        fn current(&self) -> Option<&[Form]> {
            self.plan.current.as_ref().map(|it| &it.forms[..])
        }
    }

    #[tokio::test]
    async fn a_form_that_cannot_be_made_fails_alone() {
        for wanted in [[BAD, FULL, SMALL], [FULL, BAD, SMALL], [SMALL, FULL, BAD]] {
            let mut test = Test::new();
            test.pass(20_000, &wanted, |form| form != BAD);
            let mut current = test.current().expect("a decoder").to_vec();
            current.sort_unstable();
            assert_eq!(current, [FULL, SMALL]);
            assert!(!test.refusals.is_empty());
            assert!(test.refusals.iter().all(|(form, _)| *form == BAD), "{:?}", test.refusals);
            assert!(test.refusals[0].1 <= 5, "{:?}", test.refusals);
            assert!(test.starts.len() <= 12, "{} starts", test.starts.len());
        }
    }

    #[tokio::test]
    async fn a_new_form_that_cannot_be_made_does_not_end_the_current_decoder() {
        let mut test = Test::new();
        test.pass(1000, &[FULL], |_| true);
        test.pass(30_000, &[FULL, BAD], |form| form != BAD);
        assert!(test.plan.continues(1), "{:?}", test.starts);
        assert!(test.refusals.iter().all(|(form, _)| *form == BAD), "{:?}", test.refusals);
        test.pass(60_000, &[FULL, BAD], |_| true);
        assert_eq!(test.current(), Some(&[FULL, BAD][..]), "it can be made after all");
    }

    #[tokio::test]
    async fn a_decoder_that_always_fails_is_an_error_and_starts_ever_more_rarely() {
        let mut test = Test::new();
        test.pass(120_000, &[FULL], |_| false);
        assert!(test.starts.len() <= 14, "{} starts", test.starts.len());
        assert!(test.refusals[0].1 <= 2, "{:?}", test.refusals);
        test.pass(40_000, &[FULL], |_| true);
        assert_eq!(test.current(), Some(&[FULL][..]));
    }

    #[tokio::test]
    async fn a_decoder_that_fails_after_each_picture_starts_ever_more_rarely() {
        let mut test = Test::new();
        for _ in 0..1200 {
            test.pass(100, &[FULL, SMALL], |_| true);
            test.fail(test.plan.last_number, &[]);
        }
        let count = test.starts.len();
        assert!((8..=16).contains(&count), "{count} starts in 120 s");
        assert!(test.refusals.len() >= 2, "the readers learn why the pauses are long");
        test.pass(40_000, &[FULL, SMALL], |_| true);
        test.pass(40_000, &[FULL, SMALL], |_| true);
        let count = test.starts.len();
        test.fail(test.plan.last_number, &[]);
        test.pass(20, &[FULL, SMALL], |_| true);
        assert_eq!(test.starts.len(), count + 1, "after a stable run, the restart is immediate");
    }

    #[tokio::test]
    async fn another_decoder_replaces_the_current_one_with_its_pictures() {
        let mut test = Test::new();
        let first = test.plan.start(&[FULL], None, test.now).expect("a decoder");
        test.plan.note_pictures(first.number, test.now);
        let wanted = [FULL, SMALL];
        let second = test.plan.start(&wanted, None, test.now).expect("another decoder");
        assert_eq!(second.forms, wanted);
        assert!(test.plan.start(&[FULL, SMALL, BAD], None, test.now).is_none(), "one at a time");
        assert!(test.plan.continues(first.number) && test.plan.continues(second.number));
        test.plan.note_pictures(second.number, test.now);
        assert!(!test.plan.continues(first.number) && test.plan.continues(second.number));
        assert!(test.plan.start(&[FULL], None, test.now).is_none(), "it makes these pictures");
        // The current decoder ends before the next one has a picture.
        let third = test.plan.start(&[BAD], None, test.now).expect("a third decoder");
        test.fail(second.number, &[]);
        assert!(test.plan.continues(third.number) && !test.plan.continues(second.number));
        let end = test.plan.note_end(third.number, End::AwaitsKeyframe, test.now);
        assert!(end.is_empty());
        test.now += Duration::from_secs(1);
        let fourth = test.plan.start(&[BAD], None, test.now).expect("a fourth decoder");
        assert_eq!(fourth.from, ReadFrom::NextKeyframe);
    }

    #[tokio::test]
    async fn a_client_that_requests_ever_other_widths_does_not_start_many_decoders() {
        let mut test = Test::new();
        for number in 0..600 {
            let other = Form::Jpeg(Some(100 + 2 * number));
            test.pass(100, &[FULL, other], |_| true);
        }
        assert!(test.starts.len() <= 7 + 30, "{} starts in a minute", test.starts.len());
        assert!(test.starts.len() > 20, "the client still gets pictures");
    }

    #[tokio::test]
    async fn a_camera_whose_video_changes_all_the_time_does_not_start_many_decoders() {
        let changed = || End::Changed { from: ReadFrom::LastKeyframe, is_resized: false };
        for end in [changed, || End::AwaitsKeyframe] {
            let mut test = Test::new();
            let mut starts = Vec::new();
            for tenth in 0..600 {
                test.now = test.began_at + Duration::from_millis(100 * tenth);
                if let Some(start) = test.plan.start(&[FULL], None, test.now) {
                    starts.push(tenth);
                    assert!(test.plan.note_end(start.number, end(), test.now).is_empty());
                }
            }
            assert_eq!(starts[..5], [0, 1, 2, 3, 4], "the first changes cause no pause");
            assert!(starts.len() <= 7 + 30, "{} starts in a minute", starts.len());
            assert!(starts.len() > 20, "the viewers still get pictures");
        }
    }

    #[tokio::test]
    async fn pictures_of_a_camera_that_changes_its_size_all_the_time_keep_their_size() {
        let resized = || End::Changed { from: ReadFrom::LastKeyframe, is_resized: true };
        // Changes that are rare need no measure.
        for (seconds, keeps_size) in [(3, false), (1, true)] {
            let mut test = Test::new();
            let mut starts = 0;
            for second in 0..100 {
                test.now = test.began_at + Duration::from_secs(second);
                let start = test.plan.start(&[FULL], None, test.now);
                starts += u32::from(start.is_some());
                if start.is_some_and(|start| start.keeps_size) {
                    break;
                }
                if second % seconds == 0 {
                    test.plan.note_end(test.plan.last_number, resized(), test.now);
                }
            }
            assert_eq!(test.plan.keeps_size(), keeps_size, "every {seconds} s");
            assert!(!keeps_size || starts <= 15, "{starts} starts");
        }
    }

    #[tokio::test]
    async fn the_loop_filter_is_used_for_grey_pictures() {
        let mut test = Test::new();
        let first = test.plan.start(&[SMALL], Some(50.0), test.now).expect("a decoder");
        assert!(first.skips_loop_filter);
        test.plan.note_pictures(first.number, test.now);
        let both = [SMALL, Form::Grey];
        let second = test.plan.start(&both, Some(50.0), test.now).expect("another decoder");
        assert!(!second.skips_loop_filter);
        assert_eq!(second.forms, both);
        test.plan.note_pictures(second.number, test.now);
        test.now += Duration::from_mins(1);
        assert!(test.plan.start(&both, Some(50.0), test.now).is_none());
        // No grey pictures are wanted any more. They may be wanted again soon.
        assert!(test.plan.start(&[SMALL], Some(50.0), test.now).is_none());
        test.now += Duration::from_secs(10);
        let third = test.plan.start(&[SMALL], Some(50.0), test.now).expect("a third decoder");
        assert!(third.skips_loop_filter);
    }

    #[tokio::test]
    async fn the_loop_filter_is_left_out_when_the_distance_of_keyframes_is_known() {
        let mut test = Test::new();
        let first = test.plan.start(&[FULL], None, test.now).expect("a decoder");
        assert!(!first.skips_loop_filter);
        test.plan.note_pictures(first.number, test.now);
        for _ in 0..9 {
            assert!(test.plan.start(&[FULL], Some(50.0), test.now).is_none());
            test.now += Duration::from_secs(1);
        }
        test.now += Duration::from_secs(2);
        let second = test.plan.start(&[FULL], Some(50.0), test.now).expect("another decoder");
        assert!(second.skips_loop_filter);
    }
}
