//! The fragments of the files that are being written. The database gets them when a file is closed.

use std::sync::{Arc, Mutex};

use dashmap::DashMap;

use crate::base::lock::lock;
use crate::store::db::fragment_list::RecordedFragment;
use crate::store::db::recording_table::RecordedFile;

/// The most files without a table that are remembered.
const MAX_WITHOUT_TABLE: usize = 10_000;

/// The files that are being written, or whose entries in the database are being completed, by stream. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenFiles(Arc<DashMap<i64, Vec<Arc<OpenFile>>>>);

/// A file that is being written. Only complete fragments count.
#[derive(Debug)]
pub(crate) struct OpenFile(Mutex<(RecordedFile, Vec<RecordedFragment>)>);

/// The ids of closed files without a table of frames, because the disk was full. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilesWithoutTable(Arc<Mutex<Vec<i64>>>);

impl FilesWithoutTable {
    /// Adds a file. Above a limit, the file is forgotten: it can be played and exported without a table as well.
    pub(super) fn add(&self, id: i64) {
        let mut ids = lock(&self.0);
        if ids.len() < MAX_WITHOUT_TABLE {
            ids.push(id);
        }
    }

    /// Removes all files, and returns them.
    pub(super) fn take(&self) -> Vec<i64> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl OpenFiles {
    /// Returns the files that are being written for a stream, with their fragments so far, in the order of recording. To
    /// miss no file, callers must get this list before they read the database. Of a file that is in both, the database
    /// has all fragments if its entry is closed there.
    pub(crate) fn get(&self, stream: i64) -> Vec<(RecordedFile, Vec<RecordedFragment>)> {
        let files = self.0.get(&stream).map(|files| files.value().clone()).unwrap_or_default();
        files.iter().map(|file| lock(&file.0).clone()).collect()
    }

    /// Adds a file without fragments.
    pub(crate) fn add(&self, file: RecordedFile) -> Arc<OpenFile> {
        let stream = file.stream;
        let file = Arc::new(OpenFile(Mutex::new((file, Vec::new()))));
        self.0.entry(stream).or_default().push(Arc::clone(&file));
        file
    }

    /// Removes a file.
    pub(crate) fn remove(&self, file: &Arc<OpenFile>) {
        let stream = lock(&file.0).0.stream;
        if let Some(mut files) = self.0.get_mut(&stream) {
            files.retain(|present| !Arc::ptr_eq(present, file));
        }
        self.0.remove_if(&stream, |_, files| files.is_empty());
    }
}

impl OpenFile {
    /// Sets the id of the file in the database.
    pub(crate) fn set_id(&self, id: i64) {
        lock(&self.0).0.id = id;
    }

    /// Notes a fragment with `frames` frames of video that was written.
    pub(crate) fn note(&self, fragment: RecordedFragment, frames: u32) {
        let mut guard = lock(&self.0);
        let (file, fragments) = &mut *guard;
        file.bytes = fragment.end();
        file.end_at =
            file.start_at + i64::from(fragment.begin_ms) + i64::from(fragment.duration_ms);
        file.frames = file.frames.saturating_add(frames);
        fragments.push(fragment);
    }

    /// Returns whether a fragment was written.
    pub(crate) fn has_fragments(&self) -> bool {
        !lock(&self.0).1.is_empty()
    }

    /// Returns the number of frames of video, and the fragments so far.
    pub(crate) fn written(&self) -> (u32, Vec<RecordedFragment>) {
        let guard = lock(&self.0);
        (guard.0.frames, guard.1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::recorder::testing::open_file;

    #[test]
    fn files_are_listed_until_they_are_removed() {
        let files = OpenFiles::default();
        let file = |id| RecordedFile { id, ..open_file(7, 5_000) };
        let (first, _second) = (files.add(file(1)), files.add(file(2)));
        let fragment = |offset, begin_ms| RecordedFragment {
            offset,
            size: 10,
            begin_ms,
            duration_ms: 40,
            is_keyframe: true,
        };
        first.note(fragment(4, 0), 1);
        first.note(fragment(14, 40), 2);
        let listed = files.get(7);
        assert_eq!(listed.iter().map(|(file, _)| file.id).collect::<Vec<_>>(), [1, 2]);
        let (file, fragments) = &listed[0];
        assert_eq!((file.bytes, file.end_at, file.frames, fragments.len()), (24, 5_080, 3, 2));
        files.remove(&first);
        assert_eq!(files.get(7).len(), 1);
        assert!(files.get(8).is_empty());
    }
}
