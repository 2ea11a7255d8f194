// The element <stream-camera>: its properties, methods and events.

import type { Picture } from "../../../nginx/web/src/player/screen";
import { watchSight } from "../../../nginx/web/src/player/sight";
import type { CameraState } from "../index";
import { AttributeElement, OBSERVED } from "./attributes";
import { FullScreen } from "./full-screen";
import type { GetToken } from "./host";
import type { Labels } from "./labels";
import { Playback } from "./playback";
import { View } from "./view";

/** Properties that frameworks can set before the element is defined. */
const PROPERTIES = [...OBSERVED, "getToken", "labels"];

export class StreamCamera extends AttributeElement {
  static readonly observedAttributes = OBSERVED;

  private readonly playback: Playback;
  private readonly fullScreen = new FullScreen(this);
  private ownLabels: Partial<Labels> = {};
  /** Ends what the element has begun while it is in a page. */
  private leaving: (() => void)[] = [];

  constructor() {
    super();
    const view = new View(this.attachShadow({ mode: "open" }), {
      onPlay: () => (this.playback.isTrying ? this.stop() : this.play()),
      onMute: () => {
        this.muted = !this.muted;
      },
      onFullScreen: () => void this.fullScreen.toggle(this.picture),
    });
    this.playback = new Playback(this, view);
  }

  // ---- properties

  get muted(): boolean {
    return this.playback.isMuted;
  }
  set muted(value: boolean) {
    if (this.muted !== Boolean(value)) {
      this.playback.setMuted(Boolean(value));
      this.dispatchEvent(new Event("volumechange"));
    }
  }

  get volume(): number {
    return this.playback.host.volume.peek();
  }
  set volume(value: number) {
    const level = Math.min(1, Math.max(0, Number(value)));
    if (Number.isFinite(level) && level !== this.volume) {
      this.playback.host.volume.value = level;
      this.dispatchEvent(new Event("volumechange"));
    }
  }

  get getToken(): GetToken | null {
    return this.playback.host.getToken;
  }
  set getToken(value: GetToken | null) {
    const isFirst = this.getToken === null;
    this.playback.host.getToken = value;
    if (isFirst) {
      this.playback.player.hurry(false); // It may have failed because there was no valid token.
    }
  }

  get labels(): Partial<Labels> {
    return this.ownLabels;
  }
  set labels(value: Partial<Labels> | null) {
    this.ownLabels = value ?? {};
    this.playback.plan();
  }

  get state(): CameraState {
    return this.playback.state;
  }

  /** The transport that plays: `webrtc`, `webcodecs`, `mse`, `hls`, `native` or `mjpeg`; null while none does. */
  get currentTransport(): string | null {
    return this.playback.player.transport.peek();
  }

  /** The age of the picture in seconds; null while it is unknown. */
  get latency(): number | null {
    return this.playback.player.latency.peek();
  }

  /** The present error; null while the element works. */
  get error(): { code: string; message: string } | null {
    return this.playback.error;
  }

  // ---- methods

  /** Plays, also after an error that the element does not retry. */
  play(): void {
    this.playback.play();
  }

  /** Stops playing, and ends all connections, until `play`. */
  stop(): void {
    this.playback.stop();
  }

  /**
   * Fills the screen, or the page if the browser has no full screen for the picture. Browsers permit the full screen only
   * after an action of the user.
   */
  async fullscreen(): Promise<void> {
    await this.fullScreen.enter(this.picture);
  }

  private get picture(): Picture {
    return this.playback.player.screen.shown.peek();
  }

  // ---- life cycle

  connectedCallback(): void {
    this.adopt(PROPERTIES);
    this.playback.plan();
    if (this.leaving.length > 0) {
      return; // The element was only moved.
    }
    const hurry = () => this.playback.player.hurry(false);
    addEventListener("online", hurry);
    this.leaving = [
      () => removeEventListener("online", hurry),
      watchSight(this, (isSeen) => this.playback.setSeen(isSeen)),
      this.playback.observe(),
    ];
  }

  disconnectedCallback(): void {
    // An element that is moved is in the page again before this microtask.
    queueMicrotask(() => {
      if (!this.isConnected) {
        for (const leave of this.leaving.splice(0)) {
          leave();
        }
        this.playback.setSeen(false);
        this.fullScreen.leavePage();
      }
    });
  }

  /** With this method, `moveBefore` does not disconnect the element. */
  connectedMoveCallback(): void {
    this.playback.plan();
  }

  attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    if (before === value) {
      return;
    }
    if (name === "muted") {
      this.muted = value !== "false";
    } else if (name === "volume" && value !== null) {
      this.volume = Number.parseFloat(value);
    } else {
      this.playback.plan();
    }
  }
}
