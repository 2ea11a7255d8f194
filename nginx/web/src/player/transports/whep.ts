// Plays WebRTC, which is negotiated by WHEP: one POST with the browser's offer, and one DELETE at the end.
import { problemOf } from "../../api/problem";
import { LossMeter } from "../loss";
import { sizeOf } from "../screen";
import { applyTo, play } from "../sound";
import type { Failure, Figures, Job, Motion, Transport, TransportEvents } from "../transport";
import { onFreshFrame } from "./first-frame";
import { isFullScreenOnPhone } from "./phone";
import { failureOf, unexplained } from "./refusal";
import { RequestQueue } from "./request-queue";

/** Time limit for the answer of the service, from the moment at which the offer is sent. */
const ANSWER_MS = 5000;
/**
 * The offers of the page. The service answers when the camera sends video. Over HTTP/1.1, browsers open at most six
 * connections to a host, so the offers to cameras that start must leave connections for other requests.
 */
const offers = new RequestQueue(3);
const STATS_EVERY_MS = 1000;
/**
 * For this time, in milliseconds, the old pictures at the beginning of a session are hidden if the tile shows no other
 * picture, and if it does. The first picture must not be late.
 */
const HIDE_FIRST_MS = 50;
const HIDE_MS = 1000;

/** Counters of the received video, as the browser reports them. */
interface Counters {
  at: number;
  bytes: number;
  frames: number;
  /** Width of the picture in pixels; 0 while it is unknown. */
  width: number;
  /** Seconds that all frames together have spent in the browser, from the network to the screen. */
  processing: number;
}

/** Returns the ICE servers that the service names in `Link` headers, as WHEP defines them. */
export function iceServersOf(links: string): RTCIceServer[] {
  return links.split(/,\s*(?=<)/).flatMap((link) => {
    const [, urls] = /^<((?:stun|turn)s?:[^>]+)>/.exec(link.trim()) ?? [];
    const value = (name: string) => new RegExp(`;\\s*${name}="?([^";]*)"?`).exec(link)?.[1];
    if (!urls || value("rel") !== "ice-server") {
      return [];
    }
    const [username, credential] = [value("username"), value("credential")];
    return [{ urls, ...(username && { username }), ...(credential && { credential }) }];
  });
}

export class WhepTransport implements Transport {
  readonly name = "webrtc";
  readonly element: HTMLVideoElement;
  private readonly peer = new RTCPeerConnection();
  private readonly ended = new AbortController();
  private readonly hasAudio: boolean;
  /** The URL of the session; null before the answer. */
  private session: string | null = null;
  private counters: Counters | null = null;
  private askedAt = 0;
  private readonly loss = new LossMeter();
  private figures: Figures = { age: null, rate: null, interval: 0 };

  constructor(
    private readonly job: Job,
    private readonly events: TransportEvents,
  ) {
    this.element = job.screen.takeVideo();
    this.hasAudio = job.sound.isOn;
  }

  /** The position is the number of frames, because the clock of a MediaStream also runs without pictures. */
  get motion(): Motion {
    const { element } = this;
    const frames = element.getVideoPlaybackQuality().totalVideoFrames;
    return { currentTime: frames, paused: element.paused, seeking: false };
  }

  start(): void {
    const { element, peer } = this;
    const { signal } = this.ended;
    const stream = new MediaStream();
    peer.addTransceiver("video", { direction: "recvonly" });
    if (this.hasAudio) {
      peer.addTransceiver("audio", { direction: "recvonly" });
    }
    peer.addEventListener("track", ({ track, receiver }) => {
      // The service sends each frame when it arrives, so the browser must not wait for later ones.
      (receiver as { jitterBufferTarget?: number | null }).jitterBufferTarget = 0;
      stream.addTrack(track);
    });
    peer.addEventListener("connectionstatechange", () => {
      if (["failed", "closed", "disconnected"].includes(peer.connectionState)) {
        this.fail({ reason: "connection" });
      }
    });
    applyTo(element, this.job.sound);
    element.srcObject = stream;
    const isFirst = sizeOf(this.job.screen.shown.peek()).width === 0;
    const patience = isFirst ? HIDE_FIRST_MS : HIDE_MS;
    onFreshFrame(element, signal, patience, () => this.events.picture());
    addEventListener("pagehide", () => this.leave(), { signal });
    this.resume();
    this.reportFrames();
    this.negotiate().catch(() => this.fail({ reason: "connection" }));
  }

  stop(): void {
    this.ended.abort();
    this.peer.close();
    this.leave();
  }

  applySound(): boolean {
    applyTo(this.element, this.job.sound);
    return this.hasAudio || !this.job.sound.isOn;
  }

  keepUp(): Figures {
    const now = performance.now();
    if (now - this.askedAt > STATS_EVERY_MS) {
      this.askedAt = now;
      this.measure().catch(() => undefined);
    }
    if (this.element.paused && !isFullScreenOnPhone(this.element)) {
      this.resume();
    }
    if (this.loss.isTooSlow(now)) {
      this.events.slow(this.figures.rate ?? 0);
    } else if (this.loss.isSteady(now)) {
      this.events.steady();
    }
    return this.figures;
  }

  private resume(): void {
    play(this.element, this.job.sound, this.ended.signal);
  }

  /** Reports each frame of a visible page as media. */
  private reportFrames(): void {
    const { element, ended } = this;
    if (!ended.signal.aborted && "requestVideoFrameCallback" in element) {
      element.requestVideoFrameCallback(() => {
        if (!ended.signal.aborted) {
          this.events.media();
          this.reportFrames();
        }
      });
    }
  }

  /**
   * When the service ends the session, for example because the permission has ended, the state of the transport shows
   * that at once; that of the connection does not.
   */
  private followEnd(): void {
    const [receiver] = this.peer.getReceivers();
    const transport = receiver?.transport;
    const onChange = () => {
      if (transport?.state === "closed") {
        void unexplained(this.job).then((failure) => this.fail(failure));
      }
    };
    transport?.addEventListener("statechange", onChange, { signal: this.ended.signal });
  }

  private fail(failure: Failure): void {
    if (!this.ended.signal.aborted) {
      this.stop();
      this.events.failed(failure);
    }
  }

  private async negotiate(): Promise<void> {
    const { peer } = this;
    await peer.setLocalDescription();
    const { response, body } = await offers.run(this.ended.signal, () => this.offer());
    if (!response.ok) {
      const problem = problemOf(response.status, body);
      this.fail(problem ? failureOf(problem) : { reason: "not_offered" });
      return;
    }
    const location = response.headers.get("Location");
    this.session = location && new URL(location, response.url).href;
    if (this.ended.signal.aborted) {
      this.leave();
      return;
    }
    const iceServers = iceServersOf(response.headers.get("Link") ?? "");
    if (iceServers.length > 0) {
      peer.setConfiguration({ ...peer.getConfiguration(), iceServers });
    }
    await peer.setRemoteDescription({ type: "answer", sdp: body });
    this.followEnd();
  }

  /** Sends the browser's offer. */
  private async offer(): Promise<{ response: Response; body: string }> {
    const { host, key } = this.job;
    const response = await fetch(host.addressOf(key, "whep"), {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: this.peer.localDescription?.sdp ?? "",
      signal: AbortSignal.any([this.ended.signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    return { response, body: await response.text() };
  }

  /** Ends the session, so that the service does not have to wait for its time limit. */
  private leave(): void {
    const { session } = this;
    this.session = null;
    if (session) {
      // If this request fails, the session ends after the time limit.
      fetch(session, { method: "DELETE", keepalive: true }).catch(() => undefined);
    }
  }

  private async measure(): Promise<void> {
    const stats = await this.peer.getStats();
    const entries = [...stats.values()] as Record<string, unknown>[];
    const video = entries.find(({ type, kind }) => type === "inbound-rtp" && kind === "video");
    if (!video) {
      return;
    }
    const pair = entries.find(({ type, nominated }) => type === "candidate-pair" && nominated);
    const roundTrip = Number(pair?.currentRoundTripTime) || 0;
    const now: Counters = {
      at: performance.now(),
      bytes: Number(video.bytesReceived) || 0,
      frames: Number(video.framesDecoded) || 0,
      width: Number(video.frameWidth) || 0,
      processing: Number(video.totalProcessingDelay) || 0,
    };
    const before = this.counters;
    this.counters = now;
    const lost = Number(video.packetsLost) || 0;
    this.loss.add(now.at, lost, Number(video.packetsReceived) || 0);
    if (!before || now.frames <= before.frames || this.ended.signal.aborted) {
      return;
    }
    this.events.media();
    const isSmaller = now.width > 0 && now.width < before.width;
    if (isSmaller && this.job.hasSub && !this.job.key.endsWith("~sub")) {
      // The service has found the connection too slow, and continues with the sub stream. With a session of the sub
      // stream, the tile knows that, and returns to the main stream later.
      this.events.slow(this.figures.rate ?? 0);
      return;
    }
    const age = (now.processing - before.processing) / (now.frames - before.frames);
    const rate = ((now.bytes - before.bytes) * 8000) / (now.at - before.at);
    const interval = (now.at - before.at) / (now.frames - before.frames);
    this.figures = { age: age + roundTrip / 2, rate, interval };
  }
}
