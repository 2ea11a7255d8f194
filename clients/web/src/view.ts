// What an element contains: the screen, a message, and the controls.
import { ENGLISH, type Labels } from "./labels";
import { styleSheet } from "./style";

const SVG = "http://www.w3.org/2000/svg";
/** Shapes in a square of 24 units. */
const ICONS = {
  play: "M7 4v16l13-8z",
  stop: "M6 6h12v12H6z",
  muted:
    "M4 9v6h4l5 5V4L8 9zm12.6-.9L15.2 9.500l2.500 2.500-2.500 2.500 1.400 1.400 2.500-2.500 2.500 2.500 1.400-1.400-2.500-2.500 2.500-2.500-1.400-1.400-2.500 2.500z",
  sound:
    "M4 9v6h4l5 5V4L8 9zm11 .2v5.600a3.500 3.500 0 0 0 0-5.600zm0-4.200v2.100a5.500 5.500 0 0 1 0 9.800V19a7.500 7.500 0 0 0 0-14z",
  full: "M5 5h6v2H7v4H5zm8 0h6v6h-2V7h-4zM5 13h2v4h4v2H5zm12 0h2v6h-6v-2h4z",
};

export interface ViewActions {
  onPlay(): void;
  onMute(): void;
  onFullScreen(): void;
}

/** What the view shows. */
export interface ViewState {
  labels: Labels;
  message: string;
  isBusy: boolean;
  /** Whether the still picture is visible. */
  hasStill: boolean;
  hasControls: boolean;
  isPlaying: boolean;
  isMuted: boolean;
}

/** Creates an element with the same name as a class and as a part. */
function make<Name extends keyof HTMLElementTagNameMap>(
  tag: Name,
  name: string,
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(tag);
  element.className = name;
  element.part.add(name);
  return element;
}

function makeButton(name: string, onClick: () => void): HTMLButtonElement {
  const button = make("button", name);
  button.part.add("button");
  button.type = "button";
  const icon = document.createElementNS(SVG, "svg");
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("aria-hidden", "true");
  icon.append(document.createElementNS(SVG, "path"));
  button.append(icon);
  button.addEventListener("click", onClick);
  return button;
}

function label(button: HTMLButtonElement, text: string, icon: keyof typeof ICONS): void {
  button.ariaLabel = text;
  button.title = text;
  button.querySelector("path")?.setAttribute("d", ICONS[icon]);
}

export class View {
  readonly video = document.createElement("video");
  readonly still = make("canvas", "still");
  private readonly message = make("div", "message");
  private readonly controls = make("div", "controls");
  private readonly play: HTMLButtonElement;
  private readonly mute: HTMLButtonElement;
  private readonly full: HTMLButtonElement;

  constructor(root: ShadowRoot, { onPlay, onMute, onFullScreen }: ViewActions) {
    root.adoptedStyleSheets = [styleSheet()];
    Object.assign(this.video, {
      muted: true,
      playsInline: true,
      autoplay: true,
      disableRemotePlayback: true,
    });
    const screen = make("div", "screen");
    screen.append(this.video);
    this.still.ariaHidden = "true";
    this.still.hidden = true;
    this.message.role = "status";
    this.play = makeButton("play", onPlay);
    this.mute = makeButton("mute", onMute);
    this.full = makeButton("fullscreen", onFullScreen);
    const gap = document.createElement("span");
    gap.className = "gap";
    this.controls.append(this.play, this.mute, gap, this.full);
    root.append(this.still, screen, this.message, this.controls);
    this.show({
      labels: ENGLISH,
      message: "",
      isBusy: false,
      hasStill: false,
      hasControls: false,
      isPlaying: false,
      isMuted: true,
    });
  }

  show(state: ViewState): void {
    const { labels, isPlaying, isMuted } = state;
    if (this.message.textContent !== state.message) {
      this.message.textContent = state.message;
    }
    this.message.toggleAttribute("data-busy", state.isBusy);
    this.still.hidden = !state.hasStill;
    this.controls.hidden = !state.hasControls;
    label(this.play, isPlaying ? labels.stop : labels.play, isPlaying ? "stop" : "play");
    label(this.mute, isMuted ? labels.unmute : labels.mute, isMuted ? "muted" : "sound");
    label(this.full, labels.fullscreen, "full");
  }
}
