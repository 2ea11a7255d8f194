//! Detects that a track of the camera sends nothing, if the camera has another track of this kind.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::camera::plan::{Audio, AudioChoice, Lesson, Plan};
use crate::ingest::ffmpeg::tracks::Tracks;

/// The time after which a video track that has sent nothing counts as silent.
const VIDEO_WITHIN: Duration = Duration::from_secs(3);
/// The time after which an audio track that has sent nothing counts as silent, if the video has begun. This time is
/// longer than [`VIDEO_WITHIN`], because trying another audio track interrupts the video.
const AUDIO_WITHIN: Duration = Duration::from_secs(5);

/// The tracks from which packets have arrived.
#[derive(Debug, Default)]
pub(super) struct SeenTracks {
    pub(super) video: AtomicBool,
    pub(super) audio: AtomicBool,
}

/// The checks of one run.
#[derive(Debug, Default)]
pub(super) struct SilenceCheck {
    pub(super) seen: Arc<SeenTracks>,
    /// The lessons to check, each with the time at which the check is due. The earliest is first.
    due: VecDeque<(Instant, Lesson)>,
}

impl SilenceCheck {
    /// Begins the checks of a run with `plan`, whose camera has these tracks.
    pub(super) fn begin(&mut self, plan: Plan, tracks: &Tracks) {
        let now = Instant::now();
        if tracks.video.len() > 1 {
            self.due.push_back((now + VIDEO_WITHIN, Lesson::VideoIsSilent));
        }
        // With `FirstAgain`, the other track has already been tried.
        let is_choice = plan.audio != Audio::Off && plan.audio_track != AudioChoice::FirstAgain;
        if tracks.audio.len() > 1 && is_choice {
            self.due.push_back((now + AUDIO_WITHIN, Lesson::AudioIsSilent));
        }
    }

    /// Waits until a track has been silent for too long, and returns the lesson. Otherwise never returns. Can
    /// be cancelled and called again.
    pub(super) async fn lesson(&mut self) -> Lesson {
        while let Some(&(at, lesson)) = self.due.front() {
            sleep_until(at).await;
            self.due.pop_front();
            let has_video = self.seen.video.load(Ordering::Relaxed);
            let has_audio = self.seen.audio.load(Ordering::Relaxed);
            let is_silent = match lesson {
                Lesson::VideoIsSilent => !has_video,
                // Without video, the whole camera may be slow.
                _ => has_video && !has_audio,
            };
            if is_silent {
                return lesson;
            }
        }
        pending().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const FOREVER: Duration = Duration::from_mins(10);

    /// Returns `count` tracks of each kind.
    fn tracks(count: usize) -> Tracks {
        let codecs = vec!["any".to_owned(); count];
        let mut tracks = Tracks::default();
        (tracks.video, tracks.audio) = (codecs.clone(), codecs);
        tracks
    }

    /// Returns the lesson of a run whose camera has two tracks of each kind. `video` and `audio` are true if the
    /// chosen track of this kind sends packets.
    async fn lesson_of(plan: Plan, video: bool, audio: bool) -> Option<Lesson> {
        let mut check = SilenceCheck::default();
        check.begin(plan, &tracks(2));
        check.seen.video.store(video, Ordering::Relaxed);
        check.seen.audio.store(audio, Ordering::Relaxed);
        timeout(FOREVER, check.lesson()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_track_leads_to_a_lesson_if_there_is_another_track() {
        let plan = Plan::default();
        assert_eq!(lesson_of(plan, true, true).await, None);
        assert_eq!(lesson_of(plan, false, false).await, Some(Lesson::VideoIsSilent));
        assert_eq!(lesson_of(plan, true, false).await, Some(Lesson::AudioIsSilent));
        let without = Plan { audio: Audio::Off, ..plan };
        assert_eq!(lesson_of(without, true, false).await, None);
        let tried = Plan { audio_track: AudioChoice::FirstAgain, ..plan };
        assert_eq!(lesson_of(tried, true, false).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_track_leads_to_no_lesson_if_it_is_the_only_one() {
        let mut check = SilenceCheck::default();
        check.begin(Plan::default(), &tracks(1));
        timeout(FOREVER, check.lesson()).await.expect_err("no lesson");
    }
}
