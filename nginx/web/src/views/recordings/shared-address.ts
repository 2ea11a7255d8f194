// The address of a share link on the page. Everything after # stays in the browser, so the token is in no log of a server.
import { addressOf } from "../../api/address";
import type { NewShare } from "../../api/types";
import { isId } from "../../ui/place";
import type { View } from "./scale";

export interface SharedPlace {
  token: string;
  camera: string;
  /** The name of the camera when the link was created. */
  name: string;
  limit: View;
}

/** Names in an address are cut to this length. */
const LONGEST_NAME = 200;

/** Returns the address of the page with the shared recordings. */
export function sharedAddress(
  { id, name }: { id: string; name: string },
  { token, from, to }: NewShare,
): string {
  const query = new URLSearchParams({
    camera: id,
    ...(name !== id && { name }),
    from: from ?? "",
    to: to ?? "",
    token,
  });
  return `${addressOf("./")}#/shared?${query}`;
}

/** Returns what the query of such an address contains; null if it is invalid. */
export function sharedPlace(query: URLSearchParams): SharedPlace | null {
  const [camera, token] = [query.get("camera") ?? "", query.get("token") ?? ""];
  const name = query.get("name")?.slice(0, LONGEST_NAME) || camera;
  const [from, to] = [Date.parse(query.get("from") ?? ""), Date.parse(query.get("to") ?? "")];
  return isId(camera) && /^[A-Za-z0-9_.-]+$/.test(token) && from < to
    ? { camera, name, token, limit: { from, to } }
    : null;
}
