//! A viewer who watches over WebRTC, with str0m as the client.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, KeyframeRequestKind, MediaData, MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::{Manager, TIMEOUT};

/// What a viewer offers.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent properties, most of which a test leaves out"
)]
pub(crate) struct Offer {
    /// The viewer connects with TCP.
    pub tcp: bool,
    /// The viewer plays H.265 as well.
    pub h265: bool,
    /// The viewer wants audio.
    pub audio: bool,
    /// The viewer would send audio, in a section before the others.
    pub microphone: bool,
    /// The viewer uses another password than that of the answer.
    pub wrong_password: bool,
}

/// A picture, or a packet of audio.
#[derive(Debug)]
pub(crate) struct Received {
    /// The time of arrival.
    pub at: Instant,
    /// What was received.
    pub media: MediaData,
}

/// A viewer with a session.
pub(crate) struct WhepViewer {
    rtc: Rtc,
    link: Link,
    local: SocketAddr,
    video: Mid,
    /// The address of the session.
    pub session: String,
    /// The session's `ETag`.
    pub tag: String,
    /// All pictures so far.
    pub pictures: Vec<Received>,
    /// All packets of audio so far.
    pub audio: Vec<Received>,
    /// The share of media packets that the viewer loses.
    pub loss: f64,
    /// The rate of the viewer's network, in bits per second; `None` without a limit. Up to 0.3 s of packets wait, and
    /// further packets are lost.
    pub rate: Option<f64>,
    /// The number of datagrams that have arrived.
    pub received: usize,
    /// The number of media packets that have arrived, or were lost, for the second time.
    pub repeated: usize,
    packets: HashSet<Vec<u8>>,
    /// The packets that wait in the network, with the times of their arrival.
    waiting: VecDeque<(Instant, SocketAddr, Vec<u8>)>,
    /// True once the manager has closed the session.
    pub is_closed: bool,
}

enum Link {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, buffer: Vec<u8> },
}

/// Returns an offer, and the client that made it and has yet to accept the answer.
pub(crate) fn offer(
    options: Offer,
    local: SocketAddr,
) -> (Rtc, String, str0m::change::SdpPendingOffer, Mid) {
    let mut rtc = Rtc::builder()
        .clear_codecs()
        .enable_h264(true)
        .enable_h265(options.h265)
        .enable_opus(true, false)
        .enable_pcmu(true, false)
        .enable_pcma(true, false)
        .build(Instant::now());
    let candidate = if options.tcp {
        Candidate::builder().tcp().host(local).tcptype(TcpType::Active).build()
    } else {
        Candidate::host(local, Protocol::Udp)
    };
    rtc.add_local_candidate(candidate.expect("a candidate"));
    let mut changes = rtc.sdp_api();
    if options.microphone {
        changes.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
    }
    let video = changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    if options.audio {
        changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    }
    let (offer, pending) = changes.apply().expect("an offer");
    (rtc, offer.to_sdp_string(), pending, video)
}

/// Sends an offer.
pub(crate) async fn post(manager: &Manager, path: &str, offer: &str) -> Response {
    post_with(manager.client(), &manager.url(path), offer).await
}

async fn post_with(client: &Client, url: &str, offer: &str) -> Response {
    let request = client.post(url);
    let request = request.header("content-type", "application/sdp").body(offer.to_owned());
    request.send().await.expect("a response")
}

/// Returns the port that the manager uses for WebRTC.
pub(crate) async fn port(manager: &Manager) -> u16 {
    let health = manager.get("/api/health").await.body;
    let port = health["webrtc"]["port"].as_u64().unwrap_or_else(|| panic!("off: {health}"));
    u16::try_from(port).expect("a port")
}

impl WhepViewer {
    /// Opens a session.
    pub(crate) async fn open(manager: &Manager, path: &str, options: Offer) -> Self {
        Self::open_with(manager, manager.client(), path, options).await
    }

    /// Opens a session with this HTTP client.
    pub(crate) async fn open_with(
        manager: &Manager,
        client: &Client,
        path: &str,
        options: Offer,
    ) -> Self {
        let (mut session, mut tag) = (String::new(), String::new());
        let viewer = Self::open_by(manager, options, async |offer| {
            let response = post_with(client, &manager.url(path), &offer).await;
            assert_eq!(response.status(), 201, "{response:?}");
            response.headers()["location"].to_str().expect("text").clone_into(&mut session);
            response.headers()["etag"].to_str().expect("text").clone_into(&mut tag);
            assert_eq!(response.headers()["content-type"], "application/sdp");
            response.text().await.expect("an answer")
        })
        .await;
        Self { session, tag, ..viewer }
    }

    /// Opens a session whose answer is the one that `exchange` returns for an offer.
    pub(crate) async fn open_by(
        manager: &Manager,
        options: Offer,
        exchange: impl AsyncFnOnce(String) -> String,
    ) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port(manager).await));
        let link = if options.tcp {
            let stream = TcpStream::connect(address).await.expect("a connection");
            Link::Tcp { stream, buffer: Vec::new() }
        } else {
            Link::Udp(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"))
        };
        let local = match &link {
            Link::Udp(socket) => socket.local_addr(),
            Link::Tcp { stream, .. } => stream.local_addr(),
        };
        let local = local.expect("an address");
        let (mut rtc, offer, pending, video) = offer(options, local);
        let answer = exchange(offer).await;
        let unused = if options.tcp { " udp " } else { " tcp " };
        let lines =
            answer.lines().filter(|it| !it.starts_with("a=candidate") || !it.contains(unused));
        let answer: String = lines.flat_map(|line| [line, "\r\n"]).collect();
        let answer = if options.wrong_password {
            answer.replace("a=ice-pwd:", "a=ice-pwd:wrong")
        } else {
            answer
        };
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer");
        rtc.sdp_api().accept_answer(pending, answer).expect("an answer that fits");
        let (pictures, audio) = (Vec::new(), Vec::new());
        let (session, tag) = (String::new(), String::new());
        let (loss, rate, waiting, is_closed) = (0.0, None, VecDeque::new(), false);
        Self {
            rtc,
            link,
            local,
            video,
            session,
            tag,
            pictures,
            audio,
            loss,
            rate,
            received: 0,
            repeated: 0,
            packets: HashSet::new(),
            waiting,
            is_closed,
        }
    }

    /// Returns the viewer's address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends from another port from now on, as after a router has forgotten the viewer's port.
    pub(crate) async fn change_port(&mut self) {
        self.link = Link::Udp(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
    }

    /// Runs the client until `condition` is met.
    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !condition(self) {
            assert!(Instant::now() < deadline, "timeout: {what}; {} pictures", self.pictures.len());
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let timeout = loop {
            match self.rtc.poll_output().expect("a healthy client") {
                Output::Timeout(at) => break at,
                Output::Transmit(packet) => {
                    self.link.send(&packet.contents, packet.destination).await;
                }
                Output::Event(Event::MediaData(media)) => {
                    let is_video = media.mid == self.video;
                    let list = if is_video { &mut self.pictures } else { &mut self.audio };
                    list.push(Received { at: Instant::now(), media });
                }
                Output::Event(Event::Closed) => self.is_closed = true,
                Output::Event(_) => {}
            }
        };
        let first = self.waiting.front().map(|(at, ..)| *at);
        let until = first.map_or(timeout, |at| at.min(timeout));
        let wait = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(50));
        let received = tokio::time::timeout(wait, self.link.receive()).await;
        self.received += usize::from(matches!(received, Ok(Some(_))));
        if let Ok(Some((_, bytes))) = &received
            && bytes[0] >> 6 == 2
            && !self.packets.insert(bytes.clone())
        {
            self.repeated += 1;
        }
        match received {
            // RTP and RTCP begin with these bits.
            Ok(Some((_, bytes))) if bytes[0] >> 6 == 2 && fastrand::f64() < self.loss => {}
            Ok(Some((source, bytes))) => match self.rate {
                Some(rate) => self.delay(source, bytes, rate),
                None => self.take(Instant::now(), source, &bytes),
            },
            // The manager has closed the connection.
            Ok(None) => tokio::time::sleep(wait).await,
            Err(_) => {}
        }
        let now = Instant::now();
        while let Some((at, source, bytes)) = self.waiting.pop_front_if(|(at, ..)| *at <= now) {
            // The times are those of the network, even if the machine is busy.
            self.take(at, source, &bytes);
        }
        self.rtc.handle_input(Input::Timeout(now)).expect("a healthy client");
    }

    fn take(&mut self, at: Instant, source: SocketAddr, bytes: &[u8]) {
        let protocol = self.link.protocol();
        if let Ok(receive) = Receive::new(protocol, source, self.local, bytes) {
            self.rtc.handle_input(Input::Receive(at, receive)).expect("a packet");
        }
    }

    /// Passes a packet through a network of this rate.
    fn delay(&mut self, source: SocketAddr, bytes: Vec<u8>, rate: f64) {
        let now = Instant::now();
        let free_at = self.waiting.back().map_or(now, |(at, ..)| now.max(*at));
        if free_at < now + Duration::from_millis(300) {
            let bits = f64::from(u32::try_from(bytes.len() + 28).expect("short")) * 8.0;
            let at = free_at + Duration::from_secs_f64(bits / rate);
            self.waiting.push_back((at, source, bytes));
        }
    }

    /// Asks for a keyframe (PLI).
    pub(crate) fn request_keyframe(&mut self) {
        let mut writer = self.rtc.writer(self.video).expect("a section");
        writer.request_keyframe(None, KeyframeRequestKind::Pli).expect("a request");
    }

    /// Ends the session with DELETE. Returns the status.
    pub(crate) async fn delete(&self, manager: &Manager) -> u16 {
        manager.delete(&self.session).await.status.as_u16()
    }

    /// Sends further candidates, as players do. Returns the status.
    pub(crate) async fn patch(&self, manager: &Manager, tag: Option<&str>) -> u16 {
        let request = manager.client().request(Method::PATCH, manager.url(&self.session));
        let request = request.header("content-type", "application/trickle-ice-sdpfrag");
        let request = request.body("a=mid:0\r\na=end-of-candidates\r\n");
        let request = tag.into_iter().fold(request, |it, tag| it.header("if-match", tag));
        request.send().await.expect("a response").status().as_u16()
    }
}

impl Link {
    fn protocol(&self) -> Protocol {
        match self {
            Self::Udp(_) => Protocol::Udp,
            Self::Tcp { .. } => Protocol::Tcp,
        }
    }

    async fn send(&mut self, bytes: &[u8], to: SocketAddr) {
        match self {
            Self::Udp(socket) => drop(socket.send_to(bytes, to).await),
            Self::Tcp { stream, .. } => {
                let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
                let _ = stream.write_all(&[&length, bytes].concat()).await;
            }
        }
    }

    /// Returns the next datagram; `None` at the end of a connection. Can be cancelled without losing a datagram.
    async fn receive(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        match self {
            Self::Udp(socket) => {
                let mut bytes = vec![0; 2000];
                let (length, source) = socket.recv_from(&mut bytes).await.expect("a datagram");
                bytes.truncate(length);
                Some((source, bytes))
            }
            Self::Tcp { stream, buffer } => loop {
                if let [high, low, rest @ ..] = &buffer[..] {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    if rest.len() >= length {
                        let datagram = rest[..length].to_vec();
                        buffer.drain(..2 + length);
                        return Some((stream.peer_addr().ok()?, datagram));
                    }
                }
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            },
        }
    }
}
