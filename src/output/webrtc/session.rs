//! One viewer's session, from the answer to its end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::{Event, IceConnectionState, Input, Output};
use tokio::time::sleep_until;
use tracing::debug;

use super::capacity::{Capacity, Report};
use super::frames::Frames;
use super::keyframes::KeyframeRequests;
use super::lag::Lag;
use super::offer::Negotiated;
use super::opus::OpusReader;
use super::opus::packet::OpusPacket;
use super::order::PictureOrder;
use super::outcome::{Outcome, SessionEnd};
use super::packets::Packets;
use super::routes::{Datagram, Inbox, Pair, Path, is_stun};
use super::tcp::OUTBOX;
use super::timeline::Timeline;
use crate::media::codec::VideoCodec;
use crate::media::frame::Frame;
use crate::media::hub::Gap;

mod media;

/// The time within which a viewer must connect after the answer.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The time after the viewer's last request over the path of the media after which the viewer has vanished. Browsers send
/// a request at least every 6 s.
const VANISHED_AFTER: Duration = Duration::from_secs(10);
/// The time after which a viewer who sends requests only from another address has moved there. The library keeps the old
/// path, so the player has to open a new session.
const MOVED_AFTER: Duration = Duration::from_secs(7);
/// The time in which the viewer can receive the news of the end.
const CLOSE_TIME: Duration = Duration::from_millis(200);
/// The largest number of steps between two waits. A keyframe of 1 MB has 900 packets.
const MAX_STEPS: usize = 20_000;
/// The number of places in the queue of a TCP connection that must be free before the next frame.
const ROOM: usize = OUTBOX - 64;

/// A session.
pub(crate) struct Session {
    negotiated: Negotiated,
    inbox: Inbox,
    packets: Packets,
    created_at: Instant,
    is_connected: Arc<AtomicBool>,
    /// The time of the viewer's last request over the path of the media; `None` before the connection.
    last_heard: Option<Instant>,
    /// `None` before the connection.
    timeline: Option<Timeline>,
    order: PictureOrder,
    awaits_keyframe: bool,
    /// True if the session has skipped frames because they were old, and must not continue with an old keyframe.
    awaits_new: bool,
    keyframes: KeyframeRequests,
    lag: Lag,
    /// The frames that are sent; `None` before the connection.
    frames: Option<Frames>,
    /// The sound that is converted for this viewer; `None` if the viewer needs none.
    opus: Option<OpusReader>,
    capacity: Capacity,
}

impl Session {
    /// Creates a session that waits for its viewer's connection.
    pub(super) fn new(
        negotiated: Negotiated,
        inbox: Inbox,
        packets: Packets,
        is_connected: Arc<AtomicBool>,
    ) -> Self {
        Self {
            negotiated,
            inbox,
            packets,
            created_at: Instant::now(),
            is_connected,
            last_heard: None,
            timeline: None,
            order: PictureOrder::default(),
            awaits_keyframe: true,
            awaits_new: false,
            keyframes: KeyframeRequests::default(),
            lag: Lag::default(),
            frames: None,
            opus: None,
            capacity: Capacity::default(),
        }
    }

    /// Runs the session until it ends, or until the network turns out to be too slow for the video. Reads the frames that
    /// `read` returns as soon as the viewer is connected. Can be cancelled and called again; packets that are lost by that
    /// are sent again when the player requests them.
    pub(crate) async fn run(&mut self, read: impl Fn() -> Frames + Send) -> Outcome {
        loop {
            let wake_at = match self.progress().await {
                Ok(wake_at) => wake_at.min(self.deadline()),
                Err(end) => return Outcome::End(end),
            };
            self.packets.repeat_due().await;
            if self.deadline() <= Instant::now() {
                let is_connected = self.last_heard.is_some();
                let end =
                    if is_connected { SessionEnd::Vanished } else { SessionEnd::NeverConnected };
                return Outcome::End(end);
            }
            if self.capacity.take_shortage() {
                return Outcome::TooSlow;
            }
            if self.timeline.is_some() && self.frames.is_none() {
                self.frames = Some(read());
                // Reports from before the first picture show nothing about the network.
                self.capacity.restart();
            }
            if self.packets.outbox().is_some_and(|outbox| outbox.capacity() < ROOM) {
                self.keyframes.postpone(Instant::now());
            }
            if let Some(frames) = &self.frames
                && self.keyframes.take_due(Instant::now())
            {
                frames.need_keyframe();
            }
            let others = [self.keyframes.deadline(), self.packets.repeat_at()];
            let wake_at = others.into_iter().flatten().fold(wake_at, Instant::min);
            let (frames, outbox) = (&mut self.frames, self.packets.outbox());
            let next = async {
                let Some(frames) = frames else { return std::future::pending().await };
                // Frames wait in the hub, where they are shared, and not in the connection's queue, where they become
                // old unnoticed. An error means that the connection has ended.
                if let Some(outbox) = outbox {
                    drop(outbox.reserve_many(ROOM).await);
                }
                frames.next().await
            };
            let result = tokio::select! {
                datagram = self.inbox.next() => self.receive(datagram),
                next = next => self.send_next(next),
                packet = next_packet(&mut self.opus) => self.send_opus(&packet),
                () = sleep_until(wake_at.into()) => self.handle(Input::Timeout(Instant::now())),
            };
            if let Err(end) = result {
                return Outcome::End(end);
            }
        }
    }

    /// Continues with other frames, which begin with a keyframe.
    pub(crate) fn switch_to(&mut self, frames: Frames) {
        (self.frames, self.opus) = (Some(frames), None);
        (self.order, self.keyframes) = (PictureOrder::default(), KeyframeRequests::default());
        // The kept keyframe of the new frames is welcome, although it may be old.
        (self.awaits_new, self.lag) = (false, Lag::default());
        self.capacity.forget_losses();
        self.packets.set_repeats(false);
        self.catch_up();
        if let Some(timeline) = &mut self.timeline {
            timeline.switch();
        }
    }

    /// Returns whether the viewer accepts video of this codec.
    pub(crate) fn accepts(&self, codec: VideoCodec) -> bool {
        self.negotiated.accepts(codec)
    }

    /// Returns the number of packets that were sent.
    pub(crate) fn packets(&self) -> u64 {
        self.packets.sent
    }

    /// Returns the time at which the session ends unless the viewer connects or sends something.
    fn deadline(&self) -> Instant {
        self.last_heard.map_or(self.created_at + CONNECT_TIMEOUT, |heard| heard + VANISHED_AFTER)
    }

    /// Sends everything that is due. Returns the time of the next step.
    async fn progress(&mut self) -> Result<Instant, SessionEnd> {
        for _ in 0..MAX_STEPS {
            match self.negotiated.rtc.poll_output().map_err(failed)? {
                Output::Timeout(at) => {
                    let now = Instant::now();
                    if at > now {
                        self.packets.flush().await;
                        return Ok(at);
                    }
                    self.handle(Input::Timeout(now))?;
                }
                Output::Transmit(packet) => self.packets.send(packet).await,
                Output::Event(event) => self.note(&event)?,
            }
        }
        self.packets.flush().await;
        Ok(Instant::now())
    }

    fn note(&mut self, event: &Event) -> Result<(), SessionEnd> {
        match event {
            Event::Connected => {
                let now = Instant::now();
                self.last_heard = Some(now);
                self.is_connected.store(true, Ordering::Relaxed);
                self.timeline = Some(Timeline::new(now));
            }
            Event::MediaEgressStats(stats) if stats.mid == self.negotiated.video.mid => {
                self.capacity.note_loss(stats.loss);
            }
            Event::PeerStats(stats) => {
                if let Some(estimate) = stats.bwe_tx {
                    debug!(%estimate, rtt = ?stats.rtt, loss = ?stats.egress_loss_fraction, "the network of a WebRTC session");
                    let report = Report {
                        estimate: estimate.as_f64(),
                        sent: stats.bytes_tx,
                        rtt: stats.rtt,
                        loss: stats.egress_loss_fraction,
                    };
                    self.capacity.note_report(&report, stats.timestamp);
                    self.packets.set_repeats(self.capacity.needs_repeats());
                }
            }
            Event::KeyframeRequest(_) => self.keyframes.need(),
            Event::Closed => return Err(SessionEnd::Left),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                return Err(SessionEnd::Vanished);
            }
            _ => {}
        }
        Ok(())
    }

    fn handle(&mut self, input: Input<'_>) -> Result<(), SessionEnd> {
        self.negotiated.rtc.handle_input(input).map_err(failed)
    }

    /// Handles a datagram and those that have arrived with it.
    fn receive(&mut self, first: Datagram) -> Result<(), SessionEnd> {
        let mut next = Some(first);
        while let Some(datagram) = next {
            self.receive_one(&datagram)?;
            next = self.inbox.try_next();
        }
        Ok(())
    }

    fn receive_one(&mut self, datagram: &Datagram) -> Result<(), SessionEnd> {
        let Datagram { source, path, received_at, bytes } = datagram;
        let local = match path {
            Path::Udp(local) => *local,
            Path::Tcp(local, _) => Some(*local),
        };
        let (protocol, remote) = (path.protocol(), *source);
        let Some(local) = self.destination(protocol, remote, local) else { return Ok(()) };
        let pair = Pair { protocol, remote, local };
        if is_stun(bytes) {
            if !self.negotiated.is_request(bytes) {
                return Ok(());
            }
            self.note_request(pair, *received_at)?;
            if !self.packets.permits(remote.ip()) {
                return Ok(());
            }
            self.packets.note_path(pair, path.clone());
            self.inbox.admit(protocol, remote);
        } else if !self.packets.is_known(pair) {
            return Ok(());
        }
        let Ok(receive) = Receive::new(protocol, remote, local, bytes) else { return Ok(()) };
        let input = Input::Receive(*received_at, receive);
        if !self.negotiated.rtc.accepts(&input) {
            return Ok(());
        }
        self.handle(input)
    }

    /// Notes a request with the right password. After the connection, only requests over the path of the media show that
    /// the viewer gets the media.
    fn note_request(&mut self, pair: Pair, at: Instant) -> Result<(), SessionEnd> {
        let Some(last_heard) = self.last_heard else { return Ok(()) };
        if self.packets.media() == Some(pair) {
            self.last_heard = Some(at);
        } else if at.saturating_duration_since(last_heard) > MOVED_AFTER {
            return Err(SessionEnd::Moved);
        }
        Ok(())
    }

    /// Returns the announced address at which a datagram arrived. Behind a translation of addresses, the local address
    /// is not announced, and the datagram counts as sent to the first announced address of this family.
    fn destination(
        &self,
        protocol: Protocol,
        source: SocketAddr,
        local: Option<IpAddr>,
    ) -> Option<SocketAddr> {
        let of_family = || {
            let all = self.negotiated.local.iter().filter(move |it| it.0 == protocol);
            all.map(|it| it.1).filter(move |it| it.is_ipv6() == source.is_ipv6())
        };
        of_family().find(|address| Some(address.ip()) == local).or_else(|| of_family().next())
    }

    fn send_next(&mut self, next: Result<Option<Arc<Frame>>, Gap>) -> Result<(), SessionEnd> {
        match next {
            Ok(Some(frame)) => self.send(&frame),
            Ok(None) => Err(SessionEnd::StreamEnded),
            Err(Gap(missed)) => {
                debug!(missed, "a WebRTC viewer missed frames");
                self.skip();
                Ok(())
            }
        }
    }

    /// Notes that the viewer missed frames, and so needs a keyframe.
    fn skip(&mut self) {
        self.catch_up();
        self.keyframes.need();
    }

    /// Continues with a keyframe, and with frames that follow each other closely until they are new again.
    fn catch_up(&mut self) {
        self.awaits_keyframe = true;
        self.capacity.restart();
        if let Some(timeline) = &mut self.timeline {
            timeline.catch_up(Instant::now());
        }
    }

    /// Tells the viewer that the session has ended, for a limited time.
    pub(crate) async fn close(&mut self) {
        if self.last_heard.is_none() || self.negotiated.rtc.close().is_err() {
            return;
        }
        let until = tokio::time::Instant::now() + CLOSE_TIME;
        let _ = tokio::time::timeout_at(until, async {
            while self.negotiated.rtc.is_alive() {
                match self.negotiated.rtc.poll_output() {
                    Ok(Output::Transmit(packet)) => self.packets.send(packet).await,
                    Ok(Output::Event(_)) => {}
                    Ok(Output::Timeout(at)) => {
                        self.packets.flush().await;
                        let at = tokio::time::Instant::from_std(at).min(until);
                        sleep_until(at).await;
                        if self.handle(Input::Timeout(Instant::now())).is_err() {
                            break;
                        }
                    }
                    Err(_) => break,
                }
            }
            self.packets.flush().await;
        })
        .await;
    }
}

/// Waits for the next packet of Opus. Never returns if the session needs none.
async fn next_packet(opus: &mut Option<OpusReader>) -> OpusPacket {
    match opus {
        Some(opus) => opus.next().await,
        None => std::future::pending().await,
    }
}

fn failed(error: impl std::fmt::Display) -> SessionEnd {
    SessionEnd::Failed(error.to_string())
}
