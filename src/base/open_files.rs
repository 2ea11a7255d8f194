//! The division of the limit of open files between streams and connections. If connections could use all file
//! descriptors, running streams could not begin their next segments.

/// File descriptors of a stream with audio: three pipes and the process of FFmpeg, two pipes for audio, and the segment
/// that is being written. A stream without audio needs two less, and a conversion to H.264 four more.
const FILES_PER_STREAM: u64 = 7;
/// File descriptors of a manager without streams and connections, and of the FFmpeg that is being started or decodes a
/// picture.
const OTHER_FILES: u64 = 40;
/// Connections can use the limit divided by this number. Streams can use the rest, except for [`OTHER_FILES`].
const CONNECTIONS_SHARE: u64 = 4;

/// Returns the number of connections that can be open if `allowed` files can be open.
pub(crate) fn connections(allowed: u64) -> usize {
    usize::try_from(allowed / CONNECTIONS_SHARE).unwrap_or(usize::MAX).max(1)
}

/// Returns the number of streams that can run if `allowed` files can be open; at least one.
pub(crate) fn streams(allowed: u64) -> usize {
    let files = (allowed - allowed / CONNECTIONS_SHARE).saturating_sub(OTHER_FILES);
    usize::try_from(files / FILES_PER_STREAM).unwrap_or(usize::MAX).max(1)
}

/// Returns the lowest limit of open files with which `streams` can run.
pub(crate) fn needed(streams: usize) -> u64 {
    let files = (streams as u64).saturating_mul(FILES_PER_STREAM).saturating_add(OTHER_FILES);
    (files - 1).saturating_mul(CONNECTIONS_SHARE) / (CONNECTIONS_SHARE - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_needed_limit_is_enough_for_the_streams() {
        for count in [1, 7, 8, 100, 1000, 4999] {
            assert_eq!(streams(needed(count)), count, "{count}");
            assert!(count == 1 || streams(needed(count) - 1) < count, "{count}");
        }
    }

    #[test]
    fn streams_and_connections_stay_within_the_limit() {
        assert_eq!((streams(128), connections(128)), (8, 32));
        assert_eq!(streams(0), 1);
        for allowed in [64, 128, 1024, 524_288] {
            let used = streams(allowed) as u64 * FILES_PER_STREAM + connections(allowed) as u64;
            assert!(used + OTHER_FILES <= allowed, "{allowed}");
        }
    }
}
