// The attributes of the element, and the properties that reflect them.

export const TRANSPORTS = ["auto", "webrtc", "webcodecs", "mse", "hls", "mjpeg"] as const;
export const QUALITIES = ["auto", "main", "sub"] as const;

export type Transport = (typeof TRANSPORTS)[number];
export type Quality = (typeof QUALITIES)[number];

/** The attributes whose changes the element follows. */
export const OBSERVED: readonly string[] = [
  "src",
  "server",
  "camera",
  "token",
  "muted",
  "volume",
  "transport",
  "quality",
  "controls",
  "poster",
  "fit",
];

/** Returns the value if it is one of those that are allowed, and otherwise the first of them. */
function oneOf<Value extends string>(
  allowed: readonly [Value, ...Value[]],
  value: string | null,
): Value {
  return allowed.find((each) => each === value) ?? allowed[0];
}

/** Servers that render pages import the module too, and have no elements. */
const Base = globalThis.HTMLElement ?? (Object as unknown as typeof HTMLElement);

export abstract class AttributeElement extends Base {
  get src(): string {
    return this.getAttribute("src") ?? "";
  }
  set src(value: string | null) {
    this.reflect("src", value);
  }

  get server(): string {
    return this.getAttribute("server") ?? "";
  }
  set server(value: string | null) {
    this.reflect("server", value);
  }

  get camera(): string {
    return this.getAttribute("camera") ?? "";
  }
  set camera(value: string | null) {
    this.reflect("camera", value);
  }

  get token(): string {
    return this.getAttribute("token") ?? "";
  }
  set token(value: string | null) {
    this.reflect("token", value);
  }

  get transport(): Transport {
    return oneOf(TRANSPORTS, this.getAttribute("transport"));
  }
  set transport(value: Transport | null) {
    this.reflect("transport", value);
  }

  get quality(): Quality {
    return oneOf(QUALITIES, this.getAttribute("quality"));
  }
  set quality(value: Quality | null) {
    this.reflect("quality", value);
  }

  get poster(): string {
    return this.getAttribute("poster") ?? "";
  }
  set poster(value: string | null) {
    this.reflect("poster", value);
  }

  get fit(): string {
    return this.getAttribute("fit") ?? "contain";
  }
  set fit(value: string | null) {
    this.reflect("fit", value);
  }

  get controls(): boolean {
    return this.hasAttribute("controls");
  }
  set controls(value: boolean) {
    this.toggleAttribute("controls", Boolean(value));
  }

  /** Sets properties again that a framework has set before the element was defined. */
  protected adopt(names: readonly string[]): void {
    const self = this as unknown as Record<string, unknown>;
    for (const name of names.filter((each) => Object.hasOwn(self, each))) {
      const value = self[name];
      delete self[name];
      self[name] = value;
    }
  }

  private reflect(name: string, value: string | null | undefined): void {
    if (value === null || value === undefined) {
      this.removeAttribute(name);
    } else {
      this.setAttribute(name, String(value));
    }
  }
}
