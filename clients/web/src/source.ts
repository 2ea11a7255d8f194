// What an element plays, from its attributes.
import type { Profile } from "../../../nginx/web/src/api/types";

export interface Source {
  /** The absolute address of the service, without a slash at its end. */
  server: string;
  camera: string;
  /** The playback token; null if the service needs none, or if `getToken` provides it. */
  token: string | null;
  /** The stream that `src` names; null if it names none. */
  profile: Profile | null;
}

/** The attributes that determine what is played. An attribute that is not set is null. */
export interface SourceAttributes {
  src: string | null;
  server: string | null;
  camera: string | null;
  token: string | null;
}

/** The path of a file of a stream, as in `hls_url` of a playback session. */
const STREAM =
  /^(?<base>.*)\/(?:streams|play\/(?<token>[^/]+))\/(?<camera>[\w-]{1,64})(?<sub>~sub)?\/[^/]*$/;
/** The id of a camera, as the service permits it. */
const CAMERA = /^[\w-]{1,64}$/;

/** Returns what is played; null if the attributes name no camera, or no valid address. */
export function sourceOf(
  { src, server, camera, token }: SourceAttributes,
  base: string,
): Source | null {
  let url: URL;
  try {
    url = new URL(src || server || "./", base);
  } catch {
    return null;
  }
  const found = STREAM.exec(url.pathname)?.groups;
  const path = found?.base ?? url.pathname;
  const id = camera || found?.camera;
  if (!id || !CAMERA.test(id) || !/^https?:$/.test(url.protocol)) {
    return null;
  }
  const isOther = found?.camera !== id;
  return {
    server: url.origin + path.replace(/\/+$/, ""),
    camera: id,
    token: token || found?.token || null,
    profile: found && !isOther ? profileOf(found.sub) : null,
  };
}

function profileOf(sub: string | undefined): Profile | null {
  return sub ? "sub" : null;
}
