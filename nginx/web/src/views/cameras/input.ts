// From what a person fills in to what the API takes, and back.
import type { Camera, CameraInput } from "../../api/types";

export type Way = "address" | "link";

/** As the form has it: texts only. */
export interface Fields {
  way: Way;
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
  video: string;
  audio: string;
  transport: string;
}

const NEW: Fields = {
  way: "address",
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
  video: "auto",
  audio: "auto",
  transport: "auto",
};
/** How the API shows what it hides; such a path cannot be given back to it. */
const HIDDEN = "***";
const LONGEST_ID = 64;

export function fieldsOf(camera: Camera | null): Fields {
  if (!camera) {
    return NEW;
  }
  const { id, name, video, audio, transport } = camera;
  const shown = (path: string | null | undefined) => (path && !isHidden(path) ? path : "");
  return {
    ...NEW,
    way: camera.ip ? "address" : "link",
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
    video,
    audio,
    transport,
  };
}

/** What is empty is left out, and so stays as it was or has its default. */
export function inputOf(fields: Fields): CameraInput {
  const input: CameraInput = {
    video: fields.video,
    audio: fields.audio,
    transport: fields.transport,
  };
  const names: (keyof Fields & keyof CameraInput)[] =
    fields.way === "link"
      ? ["name", "owner", "rtsp_link", "rtsp_link_sub"]
      : ["name", "owner", "vendor", "ip", "path", "sub_path", "username", "password"];
  for (const name of names) {
    const value = name === "password" ? fields[name] : fields[name].trim();
    if (value) {
      Object.assign(input, { [name]: value });
    }
  }
  if (fields.way === "address" && fields.port) {
    input.port = Number(fields.port);
  }
  // Its service gets a digest of the password, so the API takes none at another host than the camera's.
  const host = bare(hostOf(fields));
  if (fields.onvif && (!host || hostOfService(fields.onvif) === host)) {
    input.onvif = fields.onvif;
  }
  return input;
}

function hostOfService(url: string): string {
  const [, host = ""] = /^(?:https?:\/\/)?(\[[^\]]+\]|[^/:]+)/i.exec(url) ?? [];
  return bare(host);
}

/** A host to compare: an IPv6 address may have brackets. */
function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "").toLowerCase();
}

/** Whether the API hides a part of the path, so that it has to be given anew. */
export function isHidden(path: string | null | undefined): boolean {
  return path?.includes(HIDDEN) ?? false;
}

/** An id that people can read, made of a name: "Front door" becomes front-door. */
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

/** What a camera is called that was given no name. */
export function hostOf({ way, ip, rtsp_link }: Fields): string {
  return way === "address"
    ? ip.trim()
    : (/^rtsps?:\/\/(?:[^/?#]*@)?(\[[^\]]+\]|[^/:?#]+)/i.exec(rtsp_link)?.[1] ?? "");
}
