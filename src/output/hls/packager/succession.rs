//! How the playlists of one stream follow each other: whether a playlist continues an earlier one, and what a later
//! playlist needs to continue it.

use std::sync::Arc;
use std::time::Duration;

use crate::camera::numbers::NumberSet;
use crate::camera::origin::{CurrentOrigin, Origin};
use crate::output::hls::continuation::moment::Moment;
use crate::output::hls::continuation::{Continuation, MAX_PAUSE, Unusable};
use crate::output::hls::fragment::{InitId, MediaEnd};
use crate::output::hls::layout::StreamDir;
use crate::output::hls::playlist::Playlist;

/// The place of one playlist in the succession of a stream's playlists.
#[derive(Debug)]
pub(super) struct Succession {
    /// The configured duration of a segment.
    configured: Duration,
    /// The lowest numbers that the stream had not used when HLS began.
    first: NumberSet,
    origin: CurrentOrigin,
    /// The origin of the last segment, and the number of the first segment with this origin; `None` if it is unknown.
    origin_since: Option<(Origin, u64)>,
    /// Until the first fragment: the last init segment of the earlier playlist, if this playlist continues one.
    continued: Option<InitId>,
    /// Until this run has finished a segment: the time at which the last media of the earlier playlist was written.
    continued_at: Option<Moment>,
}

/// The relation of a fragment to the earlier playlist, as [`Succession::begin`] decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// No decision: there is no earlier playlist, or the decision was made for a previous fragment.
    Unrelated,
    /// The fragment continues the earlier playlist.
    Continues,
    /// The fragment cannot continue the earlier playlist.
    Breaks,
}

impl Succession {
    /// Creates the succession of a playlist that continues no other one so far. `configured` is the configured duration
    /// of a segment. `first` contains the lowest numbers that the stream has not used yet.
    pub(super) fn new(configured: Duration, first: NumberSet, origin: CurrentOrigin) -> Self {
        Self { configured, first, origin, origin_since: None, continued: None, continued_at: None }
    }

    /// Returns the lowest discontinuity number that the stream had not used when HLS began.
    pub(super) fn first_discontinuity(&self) -> u64 {
        self.first.discontinuity
    }

    /// Fails if this playlist cannot continue the playlist `before`, whose files are in `dir`.
    pub(super) fn ensure_continuable(
        &self,
        before: &Continuation,
        dir: &StreamDir,
    ) -> Result<(), Unusable> {
        if before.origin != self.origin.newest() {
            return Err(Unusable::Origin);
        }
        if before.configured != self.configured {
            return Err(Unusable::Setting);
        }
        if before.age() > MAX_PAUSE {
            return Err(Unusable::Old);
        }
        // The numbers of segments follow each other without a gap, and the names of init segments are used once.
        let first = self.first;
        if first.sequence > before.next_sequence() || first.epoch <= before.last_init_epoch() {
            return Err(Unusable::Numbers);
        }
        before.check_files(dir)
    }

    /// Records that this playlist continues the playlist `before`, unless [`begin`](Self::begin) decides otherwise.
    pub(super) fn continue_from(&mut self, before: &Continuation) {
        self.origin_since = before.segments.first().map(|first| (before.origin, first.sequence));
        self.continued = Some(before.end.init);
        self.continued_at = Some(before.written.clone());
    }

    /// Decides whether the first fragment continues the earlier playlist. `init` is the init segment of the fragment.
    /// The fragment does not continue the playlist if the format has changed since HLS ended, or if more than
    /// [`MAX_PAUSE`] has passed since then.
    pub(super) fn begin(&mut self, init: InitId) -> Relation {
        let is_old = self.continued_at.as_ref().is_some_and(|at| at.elapsed() > MAX_PAUSE);
        match self.continued.take() {
            None => Relation::Unrelated,
            Some(continued) if continued == init && !is_old => Relation::Continues,
            Some(_) => Relation::Breaks,
        }
    }

    /// Records that the segments of the earlier playlist are left out.
    pub(super) fn left_out_earlier(&mut self) {
        (self.origin_since, self.continued_at) = (None, None);
    }

    /// Records that a segment with media of `epoch` begins.
    pub(super) fn opened(&mut self, sequence: u64, epoch: u64) {
        let origin = self.origin.of(epoch);
        if origin != self.origin_since.map(|(origin, _)| origin) {
            self.origin_since = origin.map(|origin| (origin, sequence));
        }
    }

    /// Records that a segment is finished.
    pub(super) fn finished(&mut self) {
        self.continued_at = None;
    }

    /// Returns what is needed to continue `playlist` after its last finished segment, with the last segments that have
    /// the same origin and the same init segment; `None` if there are none. `segment_time` is the wanted duration of a
    /// segment, `epoch` is the epoch of the last fragment, and `end` is the end of the last finished segment.
    ///
    /// Also returns the index of the first of these segments whose parts a playlist can name. The continuation may lack
    /// the first segments of the playlist.
    pub(super) fn continuation(
        &self,
        playlist: &Playlist,
        segment_time: Duration,
        epoch: u64,
        end: MediaEnd,
    ) -> Option<(Continuation, usize)> {
        let (origin, since) = self.origin_since?;
        let mut discontinuity_sequence = playlist.discontinuity_sequence();
        let (mut segments, mut left_out) = (Vec::new(), 0);
        let last_init = playlist.segments().next_back()?.init;
        let earlier = playlist.segments().rfind(|segment| segment.init != last_init);
        let since = earlier.map_or(since, |earlier| since.max(earlier.sequence + 1));
        for segment in playlist.shared_segments() {
            if segment.sequence >= since {
                segments.push(Arc::clone(segment));
            } else {
                discontinuity_sequence += u64::from(segment.is_discontinuity);
                left_out += 1;
            }
        }
        let durations = (self.configured, segment_time);
        let written = self.continued_at.clone().or_else(|| Moment::now().ok())?;
        let parts_from = playlist.parts_from().saturating_sub(left_out);
        let continuation = Continuation::new(
            origin,
            durations,
            discontinuity_sequence,
            epoch,
            segments,
            end,
            written,
        )?;
        Some((continuation, parts_from))
    }

    /// Behaves as if this time had passed since the last media of the earlier playlist was written.
    #[cfg(test)]
    pub(super) fn wait_for_media(&mut self, time: Duration) {
        self.continued_at = self.continued_at.take().map(|at| at.earlier_by(time));
    }
}
