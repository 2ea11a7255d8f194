//! An ingest that replays a recording, and tests of the supervisor with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until, timeout};

use super::{FOREVER, Setup, assert_continuous, setup_with_ingest};
use crate::base::error::{Error, ErrorKind};
use crate::ingest::{Ingest, IngestRequest, RunOutcome, RunningIngest, Stop, StopRequests};
use crate::media::demuxer::{Arrival, Demuxer};
use crate::media::frame::Frame;
use crate::media::nut::reader::NutReader;
use crate::stream::handle::Joined;
use crate::stream::start_queue::StartQueue;
use crate::stream::state::State;

/// Four seconds of H.264, as written by FFmpeg, with 10 frames per second and a keyframe every second.
const RECORDING: &[u8] = include_bytes!("recording.nut");

/// An ingest that replays [`RECORDING`] and then ends, as if the camera had ended the stream.
struct Replay;

impl Ingest for Replay {
    fn start(&self, request: IngestRequest) -> RunningIngest {
        RunningIngest::spawn(|stops| run(request, stops))
    }
}

async fn run(request: IngestRequest, mut stops: StopRequests) -> RunOutcome {
    let detail = replay(&request, &mut stops).await;
    RunOutcome::Dropped(Error::new(ErrorKind::SourceUnreachable, detail))
}

/// Publishes the frames of the recording. Returns the reason why it stopped.
async fn replay(request: &IngestRequest, stops: &mut StopRequests) -> &'static str {
    let began = Instant::now();
    for frame in frames(request.epoch) {
        let at = began + frame.decode_time;
        tokio::select! {
            () = sleep_until(at) => request.hub.publish([Frame { received_at: at, ..frame }]),
            stop = stops.next() => match stop {
                Stop::Gently => return "stopped gently",
                Stop::Now => return "stopped at once",
            },
        }
    }
    "the recording has ended"
}

fn frames(epoch: u64) -> impl Iterator<Item = Frame> {
    let (mut reader, mut demuxer) = (NutReader::new(), Demuxer::new(epoch, false, false, false));
    reader.buffer().extend_from_slice(RECORDING);
    let arrival = Arrival { at: Instant::now(), wall: SystemTime::now() };
    let items = std::iter::from_fn(move || reader.next_item().expect("a valid recording"));
    items.filter_map(move |item| demuxer.video(item, arrival).expect("a playable recording"))
}

fn setup() -> Setup {
    setup_with_ingest(StartQueue::new(1), |_| Arc::new(Replay), |hls| Arc::new(hls))
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_replayed_recording_starts_restarts_and_stops() {
    let setup = setup();
    assert_eq!(setup.start().await.expect("a task"), Ok(Joined::Started));
    let handle = setup.registry.get(&setup.camera.id).expect("a stream");
    let first = handle.status().epoch;
    setup.reaches(State::Backoff).await;
    assert_eq!(handle.status().last_error.expect("an error").0.detail, "the recording has ended");
    setup.reaches(State::Live).await;
    assert_eq!(handle.status().epoch, first + 1);
    assert_continuous(&setup.playlist());

    let stopping = Instant::now();
    assert!(setup.stop().await.expect("a task"));
    setup.gone().await;
    assert_eq!(handle.status().last_error.expect("an error").0.detail, "the recording has ended");
    assert!(stopping.elapsed() < Duration::from_secs(1), "the ingest was not stopped gently");
}

#[tokio::test(start_paused = true)]
async fn a_run_receives_the_requests_to_stop() {
    for (stop, expected) in [
        (RunningIngest::stop_gently as fn(&RunningIngest), Stop::Gently),
        (RunningIngest::stop_now, Stop::Now),
    ] {
        let (send, mut received) = tokio::sync::mpsc::unbounded_channel();
        let mut running = RunningIngest::spawn(|mut stops| async move {
            loop {
                let stop = stops.next().await;
                let _ = send.send(stop);
                if stop == Stop::Now {
                    return RunOutcome::Dropped(Error::shutting_down());
                }
            }
        });
        stop(&running);
        let seen = timeout(FOREVER, received.recv()).await.expect("in time");
        assert_eq!(seen, Some(expected));
        if expected == Stop::Gently {
            // The run can be stopped at once although it was stopped gently before.
            running.stop_now();
            assert_eq!(received.recv().await, Some(Stop::Now));
        }
        assert_eq!(running.outcome().await, RunOutcome::Dropped(Error::shutting_down()));
    }
    let (send, mut received) = tokio::sync::mpsc::unbounded_channel();
    drop(RunningIngest::spawn(|mut stops| async move {
        let _ = send.send(stops.next().await);
        RunOutcome::Dropped(Error::shutting_down())
    }));
    assert_eq!(received.recv().await, Some(Stop::Now), "a run that is dropped ends at once");
}
