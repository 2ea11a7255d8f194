// The place in the page: the part of the address after #.
import { signal } from "@preact/signals";

export type View = "wall" | "cameras" | "discovery" | "status";

interface Place {
  view: View;
  query: URLSearchParams;
}

/** The ids of cameras; everything else in an address is ignored. */
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const VIEWS: View[] = ["cameras", "discovery", "status"];

function read(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: VIEWS.find((view) => view === path) ?? "wall", query: new URLSearchParams(query) };
}

export function isId(text: string): boolean {
  return ID.test(text);
}

/** Replaces a short address of one camera, /?id=front-door. */
function upgrade(): void {
  const id = new URLSearchParams(location.search).get("id");
  if (id && !location.hash) {
    history.replaceState(null, "", `${location.pathname}${watchAddress(id)}`);
  }
}

upgrade();
export const place = signal<Place>(read());
/** The address of the wall as it was last shown, to return to it. */
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
  return `#/?cameras=${encodeURIComponent(id)}`;
}

/** Returns the address of a camera's form, which returns to the list or to the wall as it was. */
export function editAddress(id: string, returnTo: "list" | "wall" = "list"): string {
  const from = returnTo === "wall" ? "&from=wall" : "";
  return `#/cameras?edit=${encodeURIComponent(id)}${from}`;
}

export function go(address: string, isReplacing = false): void {
  if (isReplacing) {
    history.replaceState(null, "", address);
  } else {
    history.pushState(null, "", address);
  }
  update();
}

addEventListener("popstate", update);
