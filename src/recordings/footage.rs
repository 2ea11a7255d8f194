//! The recorded files of a span of time: those that the database has closed, and those that are being written, whose
//! fragments the recorder has in memory.

use std::time::Duration;

use super::segments::{Needed, needed};
use crate::base::error::Error;
use crate::base::time_span::TimeSpan;
use crate::output::recorder::open_files::OpenFiles;
use crate::store::db::Database;
use crate::store::db::fragment_list::RecordedFragment;
use crate::store::db::recording_table::{RecordedFile, RecordedStream};
use crate::store::error::query_failed;

/// The time after the end of a span, after which no further frames of the span are written. Frames arrive with some
/// delay, and a fragment is written when it is complete.
const WRITTEN_WITHIN: Duration = Duration::from_secs(20);

/// A recorded file with its fragments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedFootage {
    /// The file.
    pub(crate) file: RecordedFile,
    /// All fragments that were written.
    pub(crate) fragments: Vec<RecordedFragment>,
}

/// What was recorded of one rendition in a span of time.
#[derive(Debug)]
pub(crate) struct Footage {
    /// The span.
    pub(crate) span: TimeSpan,
    /// The files that overlap the span, in the order of recording. None of them is without fragments.
    pub(crate) files: Vec<RecordedFootage>,
    /// True if nothing can be added to the span any more.
    pub(crate) is_complete: bool,
}

impl RecordedFootage {
    /// Returns the fragments that are needed for a span of time.
    pub(crate) fn needed(&self, span: TimeSpan) -> Needed<'_> {
        let since_start = |time: i64| time.saturating_sub(self.file.start_at);
        needed(&self.fragments, since_start(span.from), since_start(span.to), !self.file.is_open)
    }
}

impl Footage {
    /// Reads what was recorded of `stream` in `span`. `now` is the time in UTC milliseconds.
    pub(crate) async fn read(
        database: &Database,
        open_files: &OpenFiles,
        stream: &RecordedStream,
        span: TimeSpan,
        now: i64,
    ) -> Result<Self, Error> {
        // In this order, because a file that is closed in the meantime is then in the database.
        let open = open_files.get(stream.id);
        let stored = database.recorded_fragments(stream.id, span.from, span.to).await;
        Ok(Self::new(span, open, stored.map_err(query_failed)?, now))
    }

    /// Joins the files in memory, `open`, with those in the database, `stored`.
    fn new(
        span: TimeSpan,
        open: Vec<(RecordedFile, Vec<RecordedFragment>)>,
        stored: Vec<(RecordedFile, Vec<RecordedFragment>)>,
        now: i64,
    ) -> Self {
        let mut open: Vec<_> = open.into_iter().map(RecordedFootage::from).collect();
        let mut files = Vec::with_capacity(stored.len() + open.len());
        for stored in stored.into_iter().map(RecordedFootage::from) {
            let in_memory = open.iter().position(|it| it.is_same(&stored));
            let in_memory = in_memory.map(|index| open.remove(index));
            if !stored.file.is_open {
                files.push(stored);
            } else if let Some(in_memory) = in_memory {
                files.push(in_memory);
            }
            // Otherwise, a crash has left the file, which is being repaired.
        }
        files.append(&mut open);
        let is_passed = files.last().is_some_and(|last| last.file.end_at >= span.to);
        files.retain(|it| it.overlaps(span) && it.file.can_be_read() && !it.fragments.is_empty());
        let written_within = i64::try_from(WRITTEN_WITHIN.as_millis()).unwrap_or(i64::MAX);
        let is_complete = is_passed || now >= span.to.saturating_add(written_within);
        Self { span, files, is_complete }
    }

    /// Returns the fragments of a file that are needed for the span.
    pub(crate) fn needed<'a>(&self, file: &'a RecordedFootage) -> Needed<'a> {
        let needed = file.needed(self.span);
        Needed { is_complete: needed.is_complete || self.is_complete, ..needed }
    }
}

impl From<(RecordedFile, Vec<RecordedFragment>)> for RecordedFootage {
    fn from((file, fragments): (RecordedFile, Vec<RecordedFragment>)) -> Self {
        Self { file, fragments }
    }
}

impl RecordedFootage {
    /// Returns whether both are states of one file. A file whose entry could not be written to the database yet has no
    /// id.
    fn is_same(&self, other: &Self) -> bool {
        (self.file.start_at, self.file.span) == (other.file.start_at, other.file.span)
    }

    fn overlaps(&self, span: TimeSpan) -> bool {
        self.file.start_at < span.to && self.file.end_at > span.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::testing::file;

    fn parts(footage: RecordedFootage) -> (RecordedFile, Vec<RecordedFragment>) {
        (footage.file, footage.fragments)
    }

    /// Returns the file as the database has it while it is being written.
    fn entry(footage: &RecordedFootage) -> (RecordedFile, Vec<RecordedFragment>) {
        let file = &footage.file;
        let file = RecordedFile { is_open: true, end_at: file.start_at, bytes: 0, ..file.clone() };
        (file, Vec::new())
    }

    fn open(footage: RecordedFootage) -> (RecordedFile, Vec<RecordedFragment>) {
        (RecordedFile { is_open: true, ..footage.file }, footage.fragments)
    }

    #[test]
    fn files_in_memory_and_in_the_database_are_joined() {
        let span = TimeSpan { from: 1_000, to: 100_000 };
        let [old, first, second, third] =
            [file(1, 7, 0, 0), file(2, 7, 0, 30), file(3, 7, 60_000, 10), file(0, 8, 90_000, 2)];
        let crashed = file(9, 6, 20_000, 3);
        let footage = Footage::new(
            span,
            vec![open(first.clone()), open(second.clone()), open(third.clone())],
            vec![parts(old), parts(first.clone()), entry(&second), entry(&crashed)],
            95_000,
        );
        let files: Vec<_> = footage.files.iter().map(|it| (it.file.id, it.file.is_open)).collect();
        // The first file was closed after its state in memory was read. The last one has no entry yet.
        assert_eq!(files, [(2, false), (3, true), (0, true)]);
        assert_eq!(footage.files[1].fragments.len(), 30);
        assert!(!footage.is_complete);
    }

    #[test]
    fn a_span_is_complete_when_its_end_was_recorded_or_is_long_ago() {
        let span = TimeSpan { from: 0, to: 10_000 };
        let footage = |groups, now| {
            Footage::new(span, vec![open(file(1, 7, 0, groups))], Vec::new(), now).is_complete
        };
        assert!(!footage(4, 9_000) && !footage(4, 29_999));
        assert!(footage(5, 9_000), "the end was recorded");
        assert!(footage(4, 30_000), "the end is long ago");
        let file = file(1, 7, 0, 2);
        let footage = Footage::new(span, vec![open(file.clone())], Vec::new(), 30_000);
        assert!(footage.needed(&footage.files[0]).is_complete, "no further fragment is needed");
    }
}
