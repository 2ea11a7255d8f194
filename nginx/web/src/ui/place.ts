// The current view with its parameters, kept in the part of the page's address after #.
import { signal } from "@preact/signals";

export type View =
  | "wall"
  | "cameras"
  | "discovery"
  | "recordings"
  | "events"
  | "status"
  /** Recordings that are shared by a link. */
  | "shared";

interface Place {
  view: View;
  query: URLSearchParams;
}

/** Valid ids of cameras. Invalid ids in an address are ignored. */
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const VIEWS: View[] = ["cameras", "discovery", "recordings", "events", "status", "shared"];

function read(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: VIEWS.find((view) => view === path) ?? "wall", query: new URLSearchParams(query) };
}

export function isId(text: string): boolean {
  return ID.test(text);
}

/**
 * Replaces a camera's short address, such as /?id=front-door, with the address of a wall with that camera.
 */
function expandShortAddress(): void {
  const id = new URLSearchParams(location.search).get("id");
  if (id && !location.hash) {
    history.replaceState(null, "", `${location.pathname}${watchAddress(id)}`);
  }
}

expandShortAddress();
export const place = signal<Place>(read());
/** The address of the wall as last shown, for links back to the wall. */
export const lastWall = signal("#/");

function update(): void {
  place.value = read();
  if (place.value.view === "wall") {
    lastWall.value = location.hash || "#/";
  }
}

update();
addEventListener("hashchange", update);

/** Returns the address of the wall with one camera. */
export function watchAddress(id: string): string {
  return wallOf([id]);
}

/** Returns the address of the wall with these cameras. */
export function wallOf(ids: string[]): string {
  return `#/?cameras=${ids.map(encodeURIComponent).join(",")}`;
}

/**
 * Returns the address of a camera's form. After the form is closed, the page shows the list or the last
 * wall.
 */
export function editAddress(id: string, returnTo: "list" | "wall" = "list"): string {
  const from = returnTo === "wall" ? "&from=wall" : "";
  return `#/cameras?edit=${encodeURIComponent(id)}${from}`;
}

/**
 * Returns the address of the recordings of cameras, at a date in Unix milliseconds; without a date, at the end of the
 * recordings. `seconds` is the length of the visible time; without it, a day is visible.
 */
export function recordingsAddress(
  cameras: string[],
  at?: number,
  seconds: number | null = null,
): string {
  const time = at === undefined ? "" : `&at=${new Date(at).toISOString()}`;
  const length = seconds === null ? "" : `&seconds=${seconds}`;
  return `#/recordings?cameras=${cameras.map(encodeURIComponent).join(",")}${time}${length}`;
}

/** Changes the page's address, with or without a new entry in the browser's history. */
export function go(address: string, isReplacing = false): void {
  if (isReplacing) {
    history.replaceState(null, "", address);
  } else {
    history.pushState(null, "", address);
  }
  update();
}

addEventListener("popstate", update);
