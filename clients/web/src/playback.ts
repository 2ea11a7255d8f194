// Plays what an element names, and reports what happens by the element's events.
import type { Coded, Problem } from "../../../nginx/web/src/api/problem";
import type { Profile } from "../../../nginx/web/src/api/types";
import { LivePlayer } from "../../../nginx/web/src/player/live";
import type { State } from "../../../nginx/web/src/player/request";
import { effect, untracked } from "../../../nginx/web/src/player/signals";
import type { CameraState } from "../index";
import type { AttributeElement } from "./attributes";
import { BriefErrors } from "./brief";
import { TokenHost } from "./host";
import { ENGLISH, type Labels } from "./labels";
import { type Source, sourceOf } from "./source";
import type { View } from "./view";

/**
 * Largest number of elements of a page that show the main stream with the quality `auto`, and that play HLS with low
 * latency. Over HTTP/1.1, browsers open at most six connections to a host, and low-latency HLS permanently occupies one.
 */
const FEW = 3;
/** The error if the attributes name no camera. */
const NO_CAMERA: Coded = {
  code: "invalid_source",
  detail: "the attributes name no camera; set server and camera, or src",
};

/** The states of the player as states of the element. */
const STATES: Record<State, CameraState> = {
  idle: "idle",
  starting: "connecting",
  retrying: "connecting",
  live: "playing",
  waiting: "waiting",
  pictures: "pictures",
  failed: "failed",
};

type Owner = AttributeElement & { labels: Partial<Labels> };

/** The elements that are in the page. */
const elements = new Set<Playback>();
/** The cameras without a sub stream, with their servers. */
const withoutSub = new Set<string>();

/** What the player plays. */
interface Playing {
  camera: string;
  profile: Profile;
  /** The request as a text, to be compared. */
  request: string;
}

export class Playback {
  readonly player: LivePlayer;
  readonly host: TokenHost;
  isMuted = true;
  /** Whether the element is to play: from the beginning, until `stop` or the end of the session. */
  isWanted = true;
  private isSeen = false;
  private hasSessionEnded = false;
  /** The problem of attributes that name no camera; null if they name one. */
  private misuse: Coded | null = null;
  private playing: Playing | null = null;
  /** The camera whose picture is on the screen. */
  private pictured = "";
  /** The server and the token that the host has got from the attributes. */
  private provided = "";
  private poster = "";
  private isUpdatePlanned = false;
  private isReportPlanned = false;
  /** The state, transport and error that were reported last. */
  private reported = "idle null";
  private reportedError = "";
  private readonly briefErrors = new BriefErrors(() => this.player.hurry(false));

  constructor(
    private readonly owner: Owner,
    private readonly view: View,
  ) {
    this.host = new TokenHost({
      onPoster: (picture) => this.showLastPicture(picture),
      onProblem: (problem) => this.player.report(problem),
      onSessionEnd: (problem) => this.onSessionEnd(problem),
    });
    this.player = new LivePlayer(view.video, view.still, this.host);
    this.player.onStuck = () => {
      if (this.player.transport.peek()) {
        this.player.restart();
      }
    };
  }

  get state(): CameraState {
    if (this.hasSessionEnded) {
      return "ended";
    }
    return this.misuse ? "failed" : STATES[this.player.state.peek()];
  }

  get error(): { code: string; message: string } | null {
    const problem = this.misuse ?? this.player.reason.peek() ?? this.absence;
    return problem && { code: problem.code, message: problem.detail ?? problem.code };
  }

  /** Whether the element plays, or tries to do so. */
  get isTrying(): boolean {
    return this.isWanted && this.state !== "failed";
  }

  /** The reason why the camera is away and no picture moves; null without such a reason. */
  private get absence(): Coded | null {
    const detail = this.host.absence.peek();
    const isMissing = this.state === "connecting" || this.state === "waiting";
    return detail && isMissing ? { code: "reconnecting", detail } : null;
  }

  play(): void {
    this.isWanted = true;
    this.hasSessionEnded = false;
    this.host.refusals.clear();
    this.player.hurry();
    this.plan();
  }

  stop(): void {
    this.isWanted = false;
    this.plan();
  }

  setMuted(isMuted: boolean): void {
    this.isMuted = isMuted;
    this.player.setSound(!isMuted);
    this.planReport();
  }

  setSeen(isSeen: boolean): void {
    this.isSeen = isSeen;
    this.update();
  }

  /** Updates the player once after all changes of attributes and properties. */
  plan(): void {
    if (!this.isUpdatePlanned) {
      this.isUpdatePlanned = true;
      queueMicrotask(() => {
        this.isUpdatePlanned = false;
        this.update();
      });
    }
  }

  /** Counts the element as one of the page, and follows the player, until the returned function is called. */
  observe(): () => void {
    elements.add(this);
    planAll();
    const { hasStill, reason, state, transport } = this.player;
    const { absence } = this.host;
    const stopReports = effect(() => {
      void [absence.value, hasStill.value, reason.value, state.value, transport.value];
      untracked(() => this.planReport());
    });
    const stopStates = state.subscribe((now) => {
      if (now === "live" || now === "idle") {
        absence.value = null; // What was reported before has no meaning for the next interruption.
      }
    });
    const stopOffers = transport.subscribe((name) => {
      this.host.webRtcOffered.value = name !== null;
    });
    return () => {
      elements.delete(this);
      planAll();
      stopReports();
      stopStates();
      stopOffers();
    };
  }

  private update(): void {
    const { owner } = this;
    const [src, server, camera, token] = ["src", "server", "camera", "token"].map((name) =>
      owner.getAttribute(name),
    ) as [string | null, string | null, string | null, string | null];
    const source = sourceOf({ src, server, camera, token }, document.baseURI);
    this.misuse = source ? null : NO_CAMERA;
    if (source) {
      this.provide(source);
    }
    if (source && owner.isConnected && this.isSeen && this.isWanted) {
      this.playSource(source);
    } else {
      this.player.stop();
      this.playing = null;
    }
    this.view.video.ariaLabel = owner.ariaLabel ?? source?.camera ?? null;
    if (owner.poster && owner.poster !== "none") {
      this.setPoster(owner.poster);
    }
    this.planReport();
  }

  /** Passes the service and the token on, if the attributes have changed. */
  private provide({ server, token }: Source): void {
    const provided = JSON.stringify([server, token]);
    if (this.provided === provided) {
      return;
    }
    this.provided = provided;
    this.host.set(server, token);
    if (this.hasSessionEnded) {
      this.hasSessionEnded = false;
      this.isWanted = true;
    }
    // With another token, the service may permit what it has refused.
    if (this.player.state.peek() === "failed") {
      this.playing = null;
    }
    this.player.hurry(false);
  }

  private playSource(source: Source): void {
    const { transport: choice, quality } = this.owner;
    const camera = `${source.server} ${source.camera}`;
    const hasSub = !withoutSub.has(camera);
    const profile = this.profileOf(source, hasSub);
    const isLowLatency = elements.size <= FEW;
    const isWall = elements.size > 1;
    const request = JSON.stringify([camera, profile, choice, quality, isLowLatency, isWall]);
    if (this.playing?.request === request) {
      return;
    }
    this.playing = { camera, profile, request };
    if (this.pictured !== camera) {
      this.pictured = camera;
      this.player.stop();
      this.player.hasStill.value = false;
      this.setPoster("");
    }
    this.player.adaptation.setHasSub(hasSub && quality === "auto" && !source.profile);
    this.player.play({
      id: source.camera,
      profile,
      choice,
      isLowLatency,
      isWall,
      waits: false,
    });
  }

  private profileOf({ profile }: Source, hasSub: boolean): Profile {
    const { quality } = this.owner;
    if (quality !== "auto") {
      return quality;
    }
    return profile ?? (hasSub && elements.size > FEW ? "sub" : "main");
  }

  private onSessionEnd({ code, message }: Problem): void {
    if (this.hasSessionEnded) {
      return;
    }
    this.hasSessionEnded = true;
    this.isWanted = false;
    // Later, because the player is in the middle of an attempt.
    queueMicrotask(() => {
      this.update();
      this.emit("sessionend", { code, message });
    });
  }

  // ---- what the element shows and reports

  /** Plans a report, because listeners of events can change the element. */
  private planReport(): void {
    if (!this.isReportPlanned) {
      this.isReportPlanned = true;
      queueMicrotask(() => {
        this.isReportPlanned = false;
        this.render();
        this.report();
      });
    }
  }

  private emit(type: string, detail: object): void {
    this.owner.dispatchEvent(new CustomEvent(type, { detail }));
  }

  private report(): void {
    const { state, error, player } = this;
    if (error?.code === "unknown_camera" && this.leaveSub()) {
      return;
    }
    this.briefErrors.note(error?.code);
    const [transport, latency] = [player.transport.peek(), player.latency.peek()];
    const now = `${state} ${transport}`;
    if (this.reported !== now) {
      this.reported = now;
      this.emit("statechange", { state, transport, latency });
    }
    const code = error && state !== "ended" ? error.code : "";
    const isNew = code !== this.reportedError;
    this.reportedError = code;
    if (error && code && isNew) {
      this.emit("error", { ...error, isRetried: state !== "failed" });
    }
  }

  /** Plays the main stream if a sub stream was chosen automatically and does not exist. Returns whether it does so. */
  private leaveSub(): boolean {
    const { playing } = this;
    if (playing?.profile !== "sub" || this.owner.quality !== "auto" || this.owner.src) {
      return false;
    }
    withoutSub.add(playing.camera);
    this.plan();
    return true;
  }

  private render(): void {
    const labels = { ...ENGLISH, ...this.owner.labels };
    const { state } = this;
    const hasStill = this.player.hasStill.peek() && state !== "playing";
    this.view.show({
      labels,
      message: this.messageOf(state, labels),
      isBusy: state === "connecting" || state === "waiting",
      hasStill,
      hasControls: this.owner.controls,
      isPlaying: this.isTrying,
      isMuted: this.isMuted,
    });
    if (hasStill) {
      this.setPoster(""); // It would cover the still picture.
    }
  }

  private messageOf(state: CameraState, labels: Labels): string {
    const { error } = this;
    switch (state) {
      case "connecting":
      case "failed":
        if (error) {
          return `${labels.failed}: ${error.message}`;
        }
        return state === "failed" ? labels.failed : labels.connecting;
      case "waiting":
        return error ? `${labels.waiting} (${error.message})` : labels.waiting;
      case "ended":
        return labels.ended;
      default:
        return "";
    }
  }

  /** Shows the camera's last picture until video plays, unless the page has chosen another one. */
  private showLastPicture(picture: Blob): void {
    if (!this.owner.poster && !this.player.hasStill.peek() && !this.player.transport.peek()) {
      this.setPoster(URL.createObjectURL(picture));
    }
  }

  private setPoster(url: string): void {
    if (url === this.poster) {
      return;
    }
    if (this.poster.startsWith("blob:")) {
      URL.revokeObjectURL(this.poster);
    }
    this.poster = url;
    if (url) {
      this.view.video.poster = url;
    } else {
      this.view.video.removeAttribute("poster");
    }
  }
}

/** Updates all players, because what they play depends on the number of elements. */
function planAll(): void {
  for (const element of elements) {
    element.plan();
  }
}
