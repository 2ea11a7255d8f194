use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::{advance, timeout};

use super::*;
use crate::media::aac::AacConfig;
use crate::media::frame::{AudioFormat, testing};
use crate::media::frame_budget::FrameBudget;
use crate::media::hub::FrameHub;
use crate::stream::playable::testing::playable;

/// The time between two frames.
const FRAME: Duration = Duration::from_millis(40);

/// Returns a hub, and the messages with the format `raw` for a client that joins now.
fn join(acknowledged: &Acknowledged) -> (FrameHub, LiveFeed) {
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    let feed = raw_feed(&hub, acknowledged);
    (hub, feed)
}

fn raw_feed(hub: &FrameHub, acknowledged: &Acknowledged) -> LiveFeed {
    let codecs = vec!["avc1".to_owned(), "mp4a".to_owned()];
    let watch = Watch { format: MessageFormat::Raw, codecs, audio: true };
    LiveFeed::new(&playable(hub), &watch, acknowledged.clone(), Counters::default())
}

/// Returns a frame of video that arrives now, with its number as its time.
fn video(format: &Arc<Format>, is_keyframe: bool, number: u64) -> Frame {
    let frame = testing::video(format, is_keyframe, number * 40, 40);
    Frame { received_at: Instant::now(), ..frame }
}

/// Returns the messages that can be sent now: their type, with the number of frames of `gap`, or their track and flags.
fn messages(feed: &mut LiveFeed) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(next) = feed.next().now_or_never() {
        all.push(match next.expect("video").expect("a stream") {
            Outgoing::Text(text) => {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                let kind = message["type"].as_str().expect("a type").to_owned();
                message["frames"].as_u64().map_or(kind, |frames| format!("gap {frames}"))
            }
            Outgoing::Bytes([head, _]) => {
                format!("{} {}", if head[0] == 0 { "video" } else { "audio" }, head[1])
            }
        });
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_joiner_whose_burst_is_cut_off_is_told_so() {
    let (format, acknowledged) = (testing::format(7), Acknowledged::default());
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    hub.publish((0..20).map(|number| video(&format, number == 0, number)));
    advance(FRAME).await;
    let mut feed = raw_feed(&hub, &acknowledged);
    assert!(matches!(feed.next().await, Ok(Some(Outgoing::Text(_)))), "the description");
    let keyframe = feed.next().await.expect("video").expect("a stream");
    let Outgoing::Bytes([head, _]) = keyframe else { panic!("not a frame") };
    assert_eq!(head[1], 3, "an old keyframe");
    let sending = timeout(Duration::from_secs(2), feed.discard_late()).await;
    assert!(sending.is_err(), "the keyframe is being sent");
    assert_eq!(messages(&mut feed), ["gap 19"]);
    hub.publish([video(&format, true, 70)]);
    assert_eq!(messages(&mut feed), ["video 1"]);
}

#[tokio::test(start_paused = true)]
async fn late_audio_does_not_stop_the_picture() {
    let plain = testing::format(7);
    let format = Arc::new(Format {
        audio: AacConfig::low_complexity(48_000, 1).map(AudioFormat::Aac),
        epoch: plain.epoch,
        version: plain.version,
        is_converted: plain.is_converted,
        parameter_sets: plain.parameter_sets.clone(),
        picture: plain.picture.clone(),
        aac: None,
        awaits_audio: false,
    });
    let (hub, mut feed) = join(&Acknowledged::default());
    hub.publish([video(&format, true, 0)]);
    assert_eq!(messages(&mut feed), ["media", "video 1"]);
    let sound = Frame { track: Track::Audio, ..video(&format, true, 1) };
    advance(Duration::from_secs(2)).await;
    hub.publish([sound, video(&format, false, 1)]);
    assert_eq!(messages(&mut feed), ["audio 1", "video 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_the_stream_is_reported_before_the_keyframe() {
    let (hub, mut feed) = join(&Acknowledged::default());
    let format = testing::format(7);
    hub.publish([video(&format, true, 0), video(&format, false, 1)]);
    assert_eq!(messages(&mut feed), ["media", "video 1", "video 0"]);
    hub.publish([video(&format, true, 125)]);
    assert_eq!(messages(&mut feed), ["gap 123", "video 1"]);
}

/// Publishes frames `numbers`, of which every 25th is a keyframe, and returns the messages.
async fn play(
    (hub, feed): (&FrameHub, &mut LiveFeed),
    numbers: std::ops::Range<u64>,
) -> Vec<String> {
    let format = testing::format(7);
    let mut all = Vec::new();
    for number in numbers {
        hub.publish([video(&format, number.is_multiple_of(25), number)]);
        all.extend(messages(feed));
        advance(FRAME).await;
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_client_that_acknowledges_late_skips_and_continues() {
    let acknowledged = Acknowledged::default();
    let (hub, mut feed) = join(&acknowledged);
    assert_eq!(play((&hub, &mut feed), 0..1).await, ["media", "video 1"]);
    acknowledged.set(1);
    // Frame 1 is sent at 40 ms. At frame 39, it has been without acknowledgement for 1.52 s.
    let sent = play((&hub, &mut feed), 1..50).await;
    assert_eq!((sent.len(), sent[38].as_str()), (39, "gap 1"));
    acknowledged.set(39);
    assert_eq!(play((&hub, &mut feed), 50..51).await, ["gap 10", "video 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_to_acknowledge_continues_after_three_seconds() {
    let acknowledged = Acknowledged::default();
    let (hub, mut feed) = join(&acknowledged);
    assert_eq!(play((&hub, &mut feed), 0..1).await, ["media", "video 1"]);
    acknowledged.set(1);
    let sent = play((&hub, &mut feed), 1..126).await;
    // The client skips from frame 39 on. The first keyframe that is three seconds later is frame 125.
    assert_eq!(sent[38..], ["gap 1", "gap 85", "video 1"]);
}
