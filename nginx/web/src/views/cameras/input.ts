// Converts between the fields of the form and the input of the API.
import type {
  AudioOption,
  Camera,
  CameraInput,
  KeepOption,
  TransportOption,
  VideoOption,
} from "../../api/types";

export type SourceKind = "address" | "link";

/** The values of the form, all as strings. */
export interface Fields {
  kind: SourceKind;
  id: string;
  name: string;
  owner: string;
  vendor: string;
  ip: string;
  port: string;
  path: string;
  sub_path: string;
  username: string;
  password: string;
  rtsp_link: string;
  rtsp_link_sub: string;
  onvif: string;
  /** The fingerprint of the certificate that the user has confirmed for `onvif`. */
  onvif_certificate: string;
  video: string;
  audio: string;
  transport: string;
  keep: string;
}

const NEW: Fields = {
  kind: "address",
  id: "",
  name: "",
  owner: "",
  vendor: "",
  ip: "",
  port: "",
  path: "",
  sub_path: "",
  username: "",
  password: "",
  rtsp_link: "",
  rtsp_link_sub: "",
  onvif: "",
  onvif_certificate: "",
  video: "auto",
  audio: "auto",
  transport: "auto",
  keep: "on_demand",
};
/**
 * The text that replaces secret parts of a path in the API's responses. The form must not send such a path
 * back, because the API would store it.
 */
const HIDDEN = "***";
/** The beginning of a link, with the credentials that the API has hidden, if there are any. */
const HIDDEN_LOGIN = /^(rtsps?:\/\/)(?:\*\*\*@)?/i;
const LONGEST_ID = 64;

/** Returns the form's values for a camera; the defaults if the camera is null. */
export function fieldsOf(camera: Camera | null): Fields {
  if (!camera) {
    return NEW;
  }
  const { id, name, video, audio, transport, keep } = camera;
  const shown = (path: string | null | undefined) => (path && !isHidden(path) ? path : "");
  return {
    ...NEW,
    kind: camera.ip ? "address" : "link",
    id,
    name,
    owner: camera.owner ?? "",
    vendor: camera.vendor ?? "",
    ip: camera.ip ?? "",
    port: camera.port ? String(camera.port) : "",
    path: shown(camera.path),
    sub_path: shown(camera.sub_path),
    username: camera.username ?? "",
    onvif: camera.onvif ?? "",
    onvif_certificate: camera.onvif_certificate ?? "",
    video,
    audio,
    transport,
    keep,
  };
}

/** The fields that describe the source of a camera, by the kind of source. */
const SOURCE = {
  link: ["rtsp_link", "rtsp_link_sub"],
  address: ["vendor", "ip", "path", "sub_path", "username", "password"],
} as const satisfies Record<SourceKind, readonly (keyof Fields)[]>;

/** Returns whether the user has changed the source of a saved camera, apart from the login of its links. */
export function hasNewSource(fields: Fields, camera: Camera): boolean {
  const saved = fieldsOf(camera);
  const names = [...SOURCE[fields.kind], "port", "kind"] as const;
  return names.some((name) => fields[name] !== saved[name]);
}

/**
 * Returns the API's input for the form. Empty fields are omitted. The API sets omitted fields to their
 * defaults, with four exceptions. A saved camera keeps its source if the links and the address are omitted,
 * which is the case if the user has not changed them. The camera keeps its password if the password is omitted, the
 * saved source has an address instead of links, and address, port and user name stay the same. The camera keeps the
 * confirmed certificate if the ONVIF URL stays the same. The camera always keeps `analytics`, for which the form has
 * no field.
 */
export function inputOf(fields: Fields, camera: Camera | null): CameraInput {
  const input: CameraInput = {
    // The form offers no other values.
    video: fields.video as VideoOption,
    audio: fields.audio as AudioOption,
    transport: fields.transport as TransportOption,
    keep: fields.keep as KeepOption,
  };
  addTexts(input, fields, ["name", "owner"]);
  addSource(input, fields, camera);
  // The manager sends a digest of the password to the ONVIF service, so the API accepts only an ONVIF URL
  // with the host of the camera.
  const host = bare(hostOf(fields));
  if (fields.onvif && (!host || hostOfService(fields.onvif) === host)) {
    input.onvif = fields.onvif;
    if (fields.onvif_certificate) {
      input.onvif_certificate = fields.onvif_certificate;
    }
  }
  return input;
}

/** Adds the fields with these names that are not empty to the input. */
function addTexts(
  input: CameraInput,
  fields: Fields,
  names: readonly (keyof Fields & keyof CameraInput)[],
): void {
  for (const name of names) {
    const value = name === "password" ? fields[name] : fields[name].trim();
    if (value) {
      Object.assign(input, { [name]: value });
    }
  }
}

/** Adds the source to the input, unless a saved camera keeps its source. */
function addSource(input: CameraInput, fields: Fields, camera: Camera | null): void {
  if (camera === null || hasNewSource(fields, camera)) {
    addTexts(input, fields, SOURCE[fields.kind]);
    if (fields.kind === "address" && fields.port) {
      input.port = Number(fields.port);
    }
  } else if (fields.username && canChangeLogin(fields, camera)) {
    Object.assign(input, linksWithLogin(camera, fields.username, fields.password));
  }
}

/**
 * Returns whether the form can replace the credentials in the links of a saved camera. It cannot do so if the API
 * hides other parts of the links, because the form would have to send these parts as well.
 */
export function canChangeLogin({ kind }: Fields, camera: Camera): boolean {
  const links = [camera.source, camera.source_sub].filter((link) => link != null);
  const isHidingMore = links.some((link) => isHidden(link.replace(HIDDEN_LOGIN, "$1")));
  return kind === "link" && !camera.ip && links.length > 0 && !isHidingMore;
}

/** Returns the links of a camera with other credentials. */
function linksWithLogin(camera: Camera, username: string, password: string): CameraInput {
  const login = [username, password].map(encodeURIComponent).join(":");
  const replaced = (link: string) => link.replace(HIDDEN_LOGIN, `$1${login}@`);
  return {
    ...(camera.source && { rtsp_link: replaced(camera.source) }),
    ...(camera.source_sub && { rtsp_link_sub: replaced(camera.source_sub) }),
  };
}

/** Returns the host of an ONVIF service; empty if the address has no host. */
export function hostOfService(url: string): string {
  const [, host = ""] = /^(?:https?:\/\/)?(\[[^\]]+\]|[^/:]+)/i.exec(url) ?? [];
  return bare(host);
}

/** Returns a host in lower case and without the brackets of an IPv6 address, for comparisons. */
function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "").toLowerCase();
}

/** Returns whether the API has hidden a part of the path. The user must then enter the path again. */
export function isHidden(path: string | null | undefined): boolean {
  return path?.includes(HIDDEN) ?? false;
}

/** Returns an id for a name: `front-door` for "Front door". The id is empty if no character can be used. */
export function idOf(name: string): string {
  const plain = name
    .normalize("NFKD")
    .replace(/\p{Mn}/gu, "")
    .replace(/ß/g, "ss")
    .toLowerCase();
  return plain
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, LONGEST_ID);
}

/** Returns the host of the camera, which is the default for the camera's name; empty if the fields contain no host. */
export function hostOf({ kind, ip, rtsp_link }: Fields): string {
  return kind === "address"
    ? ip.trim()
    : (/^rtsps?:\/\/(?:[^/?#]*@)?(\[[^\]]+\]|[^/:?#]+)/i.exec(rtsp_link)?.[1] ?? "");
}
