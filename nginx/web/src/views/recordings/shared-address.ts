// The address of a share link on the page. Everything after # stays in the browser, so the token is in no log of a server.
import { addressOf } from "../../api/address";
import type { NewShare } from "../../api/types";
import { isId } from "../../ui/place";
import type { View } from "./scale";

export interface SharedPlace {
  token: string;
  camera: string;
  limit: View;
}

/** Returns the address of the page with the shared recordings. */
export function sharedAddress(camera: string, { token, from, to }: NewShare): string {
  const query = new URLSearchParams({ camera, from: from ?? "", to: to ?? "", token });
  return `${addressOf("./")}#/shared?${query}`;
}

/** Returns what the query of such an address contains; null if it is invalid. */
export function sharedPlace(query: URLSearchParams): SharedPlace | null {
  const [camera, token] = [query.get("camera") ?? "", query.get("token") ?? ""];
  const [from, to] = [Date.parse(query.get("from") ?? ""), Date.parse(query.get("to") ?? "")];
  return isId(camera) && /^[A-Za-z0-9_.-]+$/.test(token) && from < to
    ? { camera, token, limit: { from, to } }
    : null;
}
