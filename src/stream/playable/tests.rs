use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::*;
use crate::base::error::ErrorKind;
use crate::ingest::rendition::{RenditionRequest, Transcoder};
use crate::ingest::{RunOutcome, RunningIngest};
use crate::media::frame::testing;
use crate::media::frame_budget::FrameBudget;
use crate::media::parameter_set::picture::PictureParameters;
use crate::media::parameter_set::sets::ParameterSets;

/// A time limit that no step of these tests reaches. On the paused clock, waiting for it takes no real time.
const FOREVER: Duration = Duration::from_mins(10);

/// A transcoder that starts no process: it hands each run to the test.
struct FakeTranscoder(mpsc::UnboundedSender<Run>);

struct Run {
    request: RenditionRequest,
    end: oneshot::Sender<Error>,
}

impl Transcoder for FakeTranscoder {
    fn start(&self, request: RenditionRequest) -> RunningIngest {
        let (end, ended) = oneshot::channel();
        let _ = self.0.send(Run { request, end });
        RunningIngest::spawn(|mut stops| async move {
            tokio::select! {
                Ok(error) = ended => RunOutcome::Dropped(error),
                _ = stops.next() => RunOutcome::Dropped(error()),
            }
        })
    }
}

struct Setup {
    hub: FrameHub,
    media: PlayableMedia,
    runs: mpsc::UnboundedReceiver<Run>,
}

fn setup() -> Setup {
    let (started, runs) = mpsc::unbounded_channel();
    let frames = FrameBudget::new(u64::MAX);
    let hub = FrameHub::new(&frames);
    let transcoder = Arc::new(FakeTranscoder(started));
    let rendition = Rendition::new(transcoder, hub.clone(), frames, Arc::default());
    Setup { media: PlayableMedia::new(hub.clone(), rendition, Hevc::ToH264), hub, runs }
}

impl Setup {
    async fn run(&mut self) -> Run {
        timeout(FOREVER, self.runs.recv()).await.expect("a run in time").expect("a transcoder")
    }
}

fn error() -> Error {
    Error::new(ErrorKind::FfmpegUnavailable, "it ended")
}

/// Returns the format of a stream of this codec. Its pictures have the properties of `testing::format`, modified
/// by `change`.
fn format(epoch: u64, codec: VideoCodec, change: fn(&mut PictureParameters)) -> Arc<Format> {
    let h264 = testing::format(epoch);
    let mut picture = h264.picture.clone();
    change(&mut picture);
    let parameter_sets = match codec {
        VideoCodec::H264 => h264.parameter_sets.clone(),
        VideoCodec::H265 | VideoCodec::Mjpeg => ParameterSets::new(codec),
    };
    Arc::new(Format {
        epoch,
        version: 0,
        is_converted: false,
        parameter_sets,
        picture,
        audio: None,
        aac: None,
        awaits_audio: false,
    })
}

fn mjpeg(epoch: u64) -> Arc<Format> {
    format(epoch, VideoCodec::Mjpeg, |_| {})
}

/// Returns the next frame's epoch and its decode time in milliseconds; `None` if there is none yet.
fn next(reader: &mut PlayableReader) -> Option<(u64, u128)> {
    let frame = reader.next().now_or_never()?.expect("no gap").expect("a stream");
    Some((frame.format.epoch, frame.decode_time.as_millis()))
}

#[test]
fn the_option_and_the_setting_decide_what_players_get() {
    use Treatment::{AsIs, Convert, Refuse};
    use VideoCodec::{H264, H265, Mjpeg};
    use VideoOption::{Auto, Copy};
    let same: fn(&mut PictureParameters) = |_| {};
    let deep: fn(&mut PictureParameters) = |picture| picture.luma_bit_depth = 10;
    let sampled: fn(&mut PictureParameters) = |picture| picture.chroma_format = 2;
    let interlaced: fn(&mut PictureParameters) = |picture| picture.is_interlaced = true;
    let table = [
        (H264, same, Auto, Hevc::ToH264, AsIs),
        (H264, same, VideoOption::H264, Hevc::ToH264, Convert),
        (H264, same, Copy, Hevc::ToH264, AsIs),
        (H264, deep, Auto, Hevc::Copy, Convert),
        (H264, deep, Copy, Hevc::ToH264, AsIs),
        (H264, sampled, Auto, Hevc::ToH264, Convert),
        (H264, interlaced, Auto, Hevc::ToH264, Convert),
        (H264, interlaced, Copy, Hevc::ToH264, AsIs),
        (H265, same, Auto, Hevc::ToH264, Convert),
        (H265, same, Auto, Hevc::Copy, AsIs),
        (H265, deep, Auto, Hevc::Copy, AsIs),
        (H265, same, VideoOption::H264, Hevc::Copy, Convert),
        (H265, same, Copy, Hevc::ToH264, AsIs),
        (Mjpeg, same, Auto, Hevc::Copy, Convert),
        (Mjpeg, same, VideoOption::H264, Hevc::Copy, Convert),
        (Mjpeg, same, Copy, Hevc::Copy, Refuse),
    ];
    for (codec, change, option, hevc, expected) in table {
        let format = format(7, codec, change);
        assert_eq!(treatment(&format, option, hevc), expected, "{codec:?} {option:?} {hevc:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rendition_is_used_while_players_need_it() {
    let mut setup = setup();
    let mut reader = setup.media.read(1_000_000);
    let h264 = testing::format(7);
    setup.hub.publish([testing::video(&h264, true, 0, 40)]);
    assert_eq!(next(&mut reader), Some((7, 0)));
    let mjpeg = mjpeg(8);
    setup.hub.publish([testing::video(&mjpeg, true, 0, 40)]);
    assert_eq!(next(&mut reader), None);
    let mut run = setup.run().await;
    let first = run.request.frames.next().await.expect("no gap").expect("a frame");
    assert!(
        Arc::ptr_eq(&first.format, &mjpeg),
        "the transcoder gets the frame that caused its start"
    );
    run.request.hub.publish([testing::video(&testing::format(8), true, 0, 40)]);
    assert_eq!(next(&mut reader), Some((8, 0)));
    assert_eq!(setup.media.flow().map(|flow| flow.format.codec()), Some(VideoCodec::H264));
    // The camera sends H.264 again.
    let h264 = testing::format(9);
    setup.hub.publish([testing::video(&h264, true, 0, 40), testing::video(&h264, false, 40, 40)]);
    assert_eq!(next(&mut reader), Some((9, 0)));
    assert_eq!(next(&mut reader), Some((9, 40)));
    timeout(FOREVER, run.end.closed()).await.expect("the run ends");
    setup.media.finish().await;
}

#[tokio::test(start_paused = true)]
async fn all_readers_share_one_run_which_ends_with_the_last_of_them() {
    let mut setup = setup();
    setup.hub.publish([testing::video(&mjpeg(7), true, 0, 40)]);
    let mut readers = [(); 5].map(|()| setup.media.read(1_000_000));
    for reader in &mut readers {
        assert_eq!(next(reader), None);
    }
    let mut run = setup.run().await;
    run.request.hub.publish([testing::video(&testing::format(7), true, 0, 40)]);
    for reader in &mut readers {
        assert_eq!(next(reader), Some((7, 0)));
    }
    let mut readers = readers.into_iter();
    let last = readers.next();
    drop(readers);
    tokio::task::yield_now().await;
    assert!(!run.end.is_closed());
    drop(last);
    timeout(FOREVER, run.end.closed()).await.expect("the run ends");
    setup.media.finish().await;
    assert!(setup.runs.try_recv().is_err(), "another run was started");
    // A later reader starts another run.
    assert_eq!(next(&mut setup.media.read(1_000_000)), None);
    setup.run().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_is_repeated_from_the_next_keyframe() {
    let mut setup = setup();
    let format = mjpeg(7);
    let mut errors = setup.media.errors();
    setup.hub.publish([testing::video(&format, true, 0, 40)]);
    let mut reader = setup.media.read(1_000_000);
    assert_eq!(next(&mut reader), None);
    let run = setup.run().await;
    run.request.hub.publish([testing::video(&testing::format(7), true, 0, 40)]);
    run.end.send(error()).expect("a run");
    assert_eq!(errors.next().await, Some(error()));
    let mut again = setup.run().await;
    assert!(again.request.frames.next().now_or_never().is_none(), "a frame was repeated");
    setup.hub.publish([testing::video(&format, true, 40, 40)]);
    let frame = again.request.frames.next().await.expect("no gap").expect("a frame");
    assert_eq!(frame.decode_time, Duration::from_millis(40));
    again.request.hub.publish([testing::video(&testing::format(7), true, 40, 40)]);
    assert_eq!(next(&mut reader), Some((7, 0)));
    assert_eq!(next(&mut reader), Some((7, 40)));
    assert_eq!(errors.next().await, None, "the rendition works again");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_transcoder_is_known_while_the_rendition_runs() {
    let mut setup = setup();
    setup.hub.publish([testing::video(&mjpeg(7), true, 0, 40)]);
    let mut reader = setup.media.read(1_000_000);
    assert_eq!(next(&mut reader), None);
    setup.run().await.end.send(error()).expect("a run");
    let mut known = setup.media.conversion_error();
    timeout(FOREVER, known.wait_for(Option::is_some)).await.expect("in time").expect("an error");
    let joiner = setup.media.conversion_error();
    assert_eq!(*joiner.borrow(), Some(error()), "a joiner learns the reason");
    drop(reader);
    timeout(FOREVER, known.wait_for(Option::is_none)).await.expect("in time").expect("no error");
}

#[tokio::test(start_paused = true)]
async fn video_that_must_not_be_converted_is_refused() {
    let mut setup = setup();
    setup.media.set_option(VideoOption::Copy);
    let mut errors = setup.media.errors();
    let mut reader = setup.media.read(1_000_000);
    setup.hub.publish([testing::video(&mjpeg(7), true, 0, 40)]);
    assert_eq!(next(&mut reader), None);
    let refused = errors.next().await.expect("an error");
    assert_eq!(refused.kind, ErrorKind::SourceUnsupported);
    assert!(setup.runs.try_recv().is_err());
    let h264 = testing::format(8);
    setup.hub.publish([testing::video(&h264, true, 0, 40)]);
    assert_eq!(next(&mut reader), Some((8, 0)));
    assert_eq!(errors.next().await, None, "the video is playable again");
}
