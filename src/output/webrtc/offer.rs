//! The check of a viewer's offer, and its answer.
//!
//! The candidates in an offer are ignored. The manager is an ICE-lite agent: it waits for the viewer's requests, and
//! sends only to addresses from which a request with the right password came.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::config::DtlsCert;
use str0m::crypto::CryptoProvider;
use str0m::format::Codec;
use str0m::ice::StunMessage;
use str0m::media::{MediaKind, Mid, Pt};
use str0m::net::{Protocol, TcpType};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

pub(crate) use self::text::Sound;
use self::text::invalid;
use crate::base::error::Error;
use crate::base::random;
use crate::media::codec::VideoCodec;
use crate::media::frame::{AudioFormat, Format};

/// The length of the user name fragment. A request with it finds its session.
const FRAGMENT_LENGTH: usize = 16;
/// The length of the password. 22 characters have 128 bits.
const PASSWORD_LENGTH: usize = 24;
/// The id of the header extension that sets the delay with which players show pictures.
const PLAYOUT_DELAY: u8 = 14;
/// The size of a UDP datagram with media, in bytes, without the header extensions. It passes tunnels.
const MTU: usize = 1200;
/// The size from which on the library warns.
const MAX_MTU: usize = 1280;
/// The time between two reports about lost packets.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// The estimate of the network's rate before the viewer has reported anything. It is high, because a session first sends
/// at full rate. The estimate of a slow network falls within a second.
const INITIAL_ESTIMATE: Bitrate = Bitrate::mbps(50);
/// Payload types for H.264 with packetization mode 1, those for packets that are sent again, and profiles with level 3.1:
/// Baseline, Constrained Baseline, Main and High. The answer contains the payload types of the offer instead. Mode 0 cannot
/// send pictures that are larger than a datagram.
const H264: [(u8, u8, u32); 4] =
    [(127, 121, 0x42_001f), (108, 109, 0x42_e01f), (123, 119, 0x4d_001f), (114, 115, 0x64_001f)];
/// The number of packets that are kept to be sent again. A group of pictures of 2 s with 4 Mbit/s has 900.
const RESEND: usize = 1200;
/// The age up to which packets are sent again.
const RESEND_AGE: Duration = Duration::from_secs(3);
/// The largest share of packets that are sent again. With more, a loss of 10 % or more would not be noticed.
const MAX_RESENT: f32 = 0.2;

/// The identity of the manager in all sessions, and the addresses at which it can be reached.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    /// The cryptography.
    pub(crate) crypto: Arc<CryptoProvider>,
    /// The certificate, whose fingerprint is part of every answer.
    pub(crate) certificate: DtlsCert,
    /// The addresses to announce.
    pub(crate) addresses: Vec<IpAddr>,
    /// The port, for UDP and TCP.
    pub(crate) port: u16,
}

/// A session that was negotiated, but has not been connected.
#[derive(Debug)]
pub(crate) struct Negotiated {
    /// The state of the session.
    pub(super) rtc: Rtc,
    /// The answer.
    pub(crate) answer: String,
    /// The manager's ICE credentials, of which the answer contains a copy.
    credentials: IceCreds,
    crypto: Arc<CryptoProvider>,
    /// The announced addresses.
    pub(super) local: Vec<(Protocol, SocketAddr)>,
    /// The section for video.
    pub(super) video: VideoSection,
    /// The section for audio; `None` if the viewer does not want audio.
    pub(super) audio: Option<AudioSection>,
}

/// The section for video, with the payload types that the viewer accepts.
#[derive(Debug)]
pub(super) struct VideoSection {
    pub(super) mid: Mid,
    /// Codec, payload type and, for H.264, the profile.
    types: Vec<(VideoCodec, Pt, Option<u8>)>,
}

/// The section for audio, with the payload types that the viewer accepts.
#[derive(Debug)]
pub(super) struct AudioSection {
    pub(super) mid: Mid,
    types: Vec<(Codec, Pt)>,
}

/// The way in which a viewer gets the audio of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SoundWay {
    /// As the camera sends it.
    AsItIs,
    /// The AAC that HLS uses is converted to Opus.
    AsOpus,
}

impl Negotiated {
    /// Returns the manager's user name fragment.
    pub(crate) fn fragment(&self) -> &str {
        &self.credentials.ufrag
    }

    /// Returns whether a datagram is an ICE request of a viewer who knows the password in the answer.
    pub(super) fn is_request(&self, bytes: &[u8]) -> bool {
        let Ok(message) = StunMessage::parse(bytes) else { return false };
        let name = message.split_username().map(|(local, _)| local);
        let hmac = self.crypto.sha1_hmac_provider;
        message.is_binding_request()
            && name == Some(self.fragment())
            && message
                .verify(self.credentials.pass.as_bytes(), |key, parts| hmac.sha1_hmac(key, parts))
    }

    /// Returns the state of the session, for fuzzing.
    pub(crate) fn into_rtc(self) -> Rtc {
        self.rtc
    }

    /// Returns whether the viewer wants audio.
    pub(crate) fn wants_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// Returns the way in which the viewer gets the audio of this format; `None` if the viewer cannot get it.
    pub(crate) fn sound_way(&self, format: &Format) -> Option<SoundWay> {
        self.audio.as_ref()?.way(format)
    }

    /// Returns whether the viewer accepts video of this codec.
    pub(crate) fn accepts(&self, codec: VideoCodec) -> bool {
        self.video.payload_type(codec, None).is_some()
    }
}

impl VideoSection {
    /// Returns the payload type for video of this codec, with this profile if possible. Players decode a High profile
    /// although they offer only lower ones.
    pub(super) fn payload_type(&self, codec: VideoCodec, profile: Option<u8>) -> Option<Pt> {
        let of_codec = || self.types.iter().filter(|it| it.0 == codec);
        let same = of_codec().find(|it| profile.is_some() && it.2 == profile);
        same.or_else(|| of_codec().next()).map(|it| it.1)
    }
}

impl AudioSection {
    /// Returns the payload type for Opus, and its clock rate; `None` if the viewer does not accept Opus.
    pub(super) fn opus(&self) -> Option<(Pt, u64)> {
        let found = self.types.iter().find(|it| it.0 == Codec::Opus);
        found.map(|(_, payload_type)| (*payload_type, 48_000))
    }

    /// Returns the way in which the viewer gets the audio of this format; `None` if the viewer cannot get it.
    pub(super) fn way(&self, format: &Format) -> Option<SoundWay> {
        if format.audio.as_ref().is_some_and(|audio| self.payload_type(audio).is_some()) {
            return Some(SoundWay::AsItIs);
        }
        (self.opus().is_some() && format.hls_audio().is_some()).then_some(SoundWay::AsOpus)
    }

    /// Returns the payload type for this audio, and its clock rate; `None` if it cannot be sent as it is.
    pub(super) fn payload_type(&self, audio: &AudioFormat) -> Option<(Pt, u64)> {
        let (codec, rate) = match audio {
            AudioFormat::Opus(_) => (Codec::Opus, 48_000),
            AudioFormat::PcmMuLaw(8000) => (Codec::PCMU, 8000),
            AudioFormat::PcmALaw(8000) => (Codec::PCMA, 8000),
            _ => return None,
        };
        let found = self.types.iter().find(|it| it.0 == codec);
        found.map(|(_, payload_type)| (*payload_type, rate))
    }
}

/// Checks an offer, and answers it.
pub(crate) fn negotiate(offer: &str, sound: Sound, local: &Local) -> Result<Negotiated, Error> {
    let (offer, names) = text::parse(offer, sound)?;
    let credentials =
        IceCreds { ufrag: random::text(FRAGMENT_LENGTH)?, pass: random::text(PASSWORD_LENGTH)? };
    let mut rtc = config(local, credentials.clone()).build(Instant::now());
    let mut announced = Vec::new();
    for address in &local.addresses {
        let address = SocketAddr::new(*address, local.port);
        let udp = Candidate::host(address, Protocol::Udp).map(|it| (Protocol::Udp, it));
        let tcp = Candidate::builder().tcp().host(address).tcptype(TcpType::Passive).build();
        for (protocol, candidate) in [udp, tcp.map(|it| (Protocol::Tcp, it))].into_iter().flatten()
        {
            rtc.add_local_candidate(candidate);
            announced.push((protocol, address));
        }
    }
    let answer = rtc.sdp_api().accept_offer(offer).map_err(|error| invalid(&error.to_string()))?;
    let (video, audio) = sections(&mut rtc, &names)?;
    let video = video.filter(|video| !video.types.is_empty()).ok_or_else(text::no_video)?;
    // By default, the library stops to send packets again as soon as they are 15 % of all packets, and the picture stays
    // damaged. The check of the capacity notices such a network.
    if let Some(stream) = rtc.direct_api().stream_tx_by_mid(video.mid, None) {
        stream.set_rtx_cache(RESEND, RESEND_AGE, Some(MAX_RESENT));
        // The library would spread the packets of a keyframe, and of the frames with which a viewer joins, over a longer time.
        stream.set_unpaced(true);
    }
    let (answer, crypto) = (text::complete(&answer.to_sdp_string()), Arc::clone(&local.crypto));
    Ok(Negotiated { rtc, answer, credentials, crypto, local: announced, video, audio })
}

fn config(local: &Local, credentials: IceCreds) -> RtcConfig {
    let mut extensions = ExtensionMap::empty();
    extensions.set(3, Extension::TransportSequenceNumber);
    extensions.set(4, Extension::RtpMid);
    extensions.set(PLAYOUT_DELAY, Extension::PlayoutDelay);
    let mut config = RtcConfig::new()
        .set_crypto_provider(Arc::clone(&local.crypto))
        .set_dtls_cert(local.certificate.clone())
        .set_local_ice_credentials(credentials)
        .set_ice_lite(true)
        .set_extension_map(extensions)
        .set_stats_interval(Some(STATS_INTERVAL))
        .enable_bwe(Some(INITIAL_ESTIMATE))
        .set_send_buffer_video(RESEND)
        .set_mtu(MTU..=MAX_MTU)
        .clear_codecs()
        .enable_h265(true)
        .enable_opus(true, false)
        .enable_pcmu(true, false)
        .enable_pcma(true, false);
    for (payload_type, resend, profile) in H264 {
        config.codec_config().add_h264(payload_type.into(), Some(resend.into()), true, profile);
    }
    config
}

/// Returns the active sections for video and audio, of those with these names. Fails if there are two of a kind.
fn sections(
    rtc: &mut Rtc,
    names: &[Mid],
) -> Result<(Option<VideoSection>, Option<AudioSection>), Error> {
    let (mut video, mut audio) = (None, None);
    for mid in names {
        let mid = *mid;
        let Some(media) = rtc.media(mid).filter(|media| media.direction().is_sending()) else {
            continue;
        };
        let kind = media.kind();
        let Some(writer) = rtc.writer(mid) else { continue };
        match kind {
            MediaKind::Video if video.is_none() => {
                let types = writer.payload_params().filter_map(|it| {
                    let spec = it.spec();
                    let profile =
                        spec.format.profile_level_id.and_then(|it| u8::try_from(it >> 16).ok());
                    match spec.codec {
                        Codec::H264 if spec.format.packetization_mode == Some(1) => {
                            Some((VideoCodec::H264, it.pt(), profile))
                        }
                        Codec::H265 => Some((VideoCodec::H265, it.pt(), None)),
                        _ => None,
                    }
                });
                video = Some(VideoSection { mid, types: types.collect() });
            }
            MediaKind::Audio if audio.is_none() => {
                let types = writer.payload_params().map(|it| (it.spec().codec, it.pt())).collect();
                audio = Some(AudioSection { mid, types });
            }
            MediaKind::Video | MediaKind::Audio => {
                return Err(invalid("it has two active sections for media of the same kind"));
            }
        }
    }
    Ok((video, audio))
}

mod text;

#[cfg(test)]
mod tests;
