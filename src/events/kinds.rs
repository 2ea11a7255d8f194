//! The types of events, with their names in the API, in webhooks and in the database.

/// The beginning of the types of events that a back end reports.
pub(crate) const REPORTED: &str = "reported";
/// The type of the event that something moves in front of a camera.
pub(crate) const MOTION: &str = "motion";

/// Declares the types of one group of events, each with its name.
macro_rules! event_types {
    ($(#[$about:meta])* $group:ident { $($(#[$doc:meta])* $kind:ident $name:literal)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum $group {
            $(
                $(#[$doc])*
                $kind,
            )*
        }

        impl $group {
            /// The names of all types of the group.
            pub(crate) const NAMES: &[&str] = &[$($name),*];

            /// Returns the name of the type.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

event_types! {
    /// The type of an event about a camera itself. These events require `CHECK_INTERVAL_SECONDS`.
    CameraEventKind {
        /// Three checks in a row have failed to reach the camera.
        Offline "camera.offline"
        /// The camera is reachable again: it streams, or responded to two checks in a row.
        Online "camera.online"
    }
}

event_types! {
    /// The type of an event about a stream.
    StreamEventKind {
        /// The manager starts FFmpeg for a stream that was not running, or that had failed.
        Started "stream.started"
        /// The stream is playable: for the first time, after an interruption, or with another source or other
        /// options.
        Live "stream.live"
        /// The picture of a live stream did not advance for `STALE_TIMEOUT_SECONDS`, or FFmpeg ended because the
        /// camera had stopped sending. The manager keeps reconnecting while the stream has viewers, if it is recorded
        /// or analysed, or if it is the main stream of a camera with `keep: always`.
        Stalled "stream.stalled"
        /// A live stream was interrupted, and `stream.stalled` does not apply; or reconnecting failed with
        /// another error code than before. The manager keeps reconnecting while the stream has viewers, if it is
        /// recorded or analysed, or if it is the main stream of a camera with `keep: always`. If the first start of such a main stream fails, this
        /// event is sent as well.
        Interrupted "stream.interrupted"
        /// The stream could not be started. The manager does not retry until a client starts the stream, or
        /// requests its playlist or a picture.
        Failed "stream.failed"
        /// The stream has ended. There is no such event if FFmpeg was never started for the stream.
        Stopped "stream.stopped"
    }
}

event_types! {
    /// The type of an event about the recording of a camera.
    RecordingEventKind {
        /// A recording has begun. There is no event for each of its files.
        Started "recording.started"
        /// A recording was interrupted, for example because the disk is full. It continues when the cause is gone.
        Interrupted "recording.interrupted"
        /// A recording continues after an interruption.
        Resumed "recording.resumed"
        /// A recording has ended.
        Stopped "recording.stopped"
    }
}

event_types! {
    /// The type of an event about a directory for recordings.
    StorageEventKind {
        /// The directory is full, and nothing in it can be deleted.
        Full "storage.full"
        /// The directory cannot be read or written, or is not there.
        Failed "storage.failed"
        /// Writing into the directory is too slow for the recordings.
        Slow "storage.slow"
        /// The directory can be used again.
        Recovered "storage.recovered"
    }
}

/// The names of the types, by group, except the types of reported events.
const GROUPS: [&[&str]; 5] = [
    StreamEventKind::NAMES,
    CameraEventKind::NAMES,
    RecordingEventKind::NAMES,
    StorageEventKind::NAMES,
    &[MOTION],
];

/// Returns the names of all types, except the types of reported events.
pub(crate) fn names() -> Vec<&'static str> {
    GROUPS.concat()
}

/// Returns whether `name` is the name of a type, or the part of such names before the dot.
pub(crate) fn is_known(name: &str) -> bool {
    let group = name.split('.').next().unwrap_or_default();
    let is_group_of = |kind: &&str| kind.split('.').next() == Some(name);
    group == REPORTED
        || GROUPS.iter().any(|names| names.contains(&name) || names.iter().any(is_group_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_and_of_their_groups_are_known() {
        for name in [
            "stream.live",
            "stream",
            "camera",
            "storage.full",
            "reported",
            "reported.door",
            "motion",
        ] {
            assert!(is_known(name), "{name}");
        }
        for name in
            ["", "stream.", "live", "streams", "stream.live.", "door", "reporteddoor", "motion."]
        {
            assert!(!is_known(name), "{name}");
        }
    }
}
