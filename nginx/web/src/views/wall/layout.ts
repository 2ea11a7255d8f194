// The content of the wall, kept in the page's address so that users can share and bookmark it:
// #/?cameras=garage,yard&grid=2&page=2&open=yard
import { computed } from "@preact/signals";

import { go, isId, place } from "../../ui/place";

export type Grid = "auto" | 1 | 2 | 3 | 4;

export const GRIDS: Grid[] = ["auto", 1, 2, 3, 4];
/** Largest number of tiles on a page of the wall. */
const MAX_TILES = 16;
/**
 * Largest number of tiles that play with low latency over HTTP/1.1. Browsers open at most six connections to
 * a host, and each low-latency player permanently occupies one of them. The other connections remain for
 * media and the API.
 */
export const FEW_TILES = 3;

export interface Layout {
  /** Ids in the chosen order; null for all cameras. */
  cameras: string[] | null;
  grid: Grid;
  /** The number of the page, counted from 0. */
  page: number;
  /** The id of the enlarged camera; null for the whole wall. */
  open: string | null;
}

/**
 * Limit of page numbers in an address. No wall has so many pages, and the API accepts the resulting offset.
 */
const MAX_PAGES = 100_000;

export const layout = computed<Layout>(() => {
  const query = place.value.query;
  const grid = Number(query.get("grid"));
  const page = Math.trunc(Number(query.get("page"))) || 1;
  const open = query.get("open");
  const cameras = query.get("cameras")?.split(",").filter(isId);
  return {
    cameras: cameras?.length ? [...new Set(cameras)] : null,
    grid: GRIDS.find((choice) => choice === grid) ?? "auto",
    page: Math.min(MAX_PAGES, Math.max(1, page)) - 1,
    open: open && isId(open) ? open : null,
  };
});

/** Returns the address of the current wall with `part` changed. */
export function wallAddress(part: Partial<Layout>): string {
  const { cameras, grid, page, open } = { ...layout.peek(), ...part };
  const parts = [
    cameras && `cameras=${cameras.map(encodeURIComponent).join(",")}`,
    grid !== "auto" && `grid=${grid}`,
    page > 0 && `page=${page + 1}`,
    open && `open=${encodeURIComponent(open)}`,
  ].filter(Boolean);
  return parts.length > 0 ? `#/?${parts.join("&")}` : "#/";
}

export function change(part: Partial<Layout>, isReplacing = false): void {
  go(wallAddress(part), isReplacing);
}

/** Returns the largest number of tiles on a page. */
export function capacity(grid: Grid): number {
  return grid === "auto" ? MAX_TILES : grid * grid;
}

/** Returns how many columns and rows the grid needs for a number of tiles. */
export function shape(grid: Grid, tiles: number): { columns: number; rows: number } {
  if (grid !== "auto") {
    return { columns: grid, rows: grid };
  }
  const columns = Math.max(1, Math.ceil(Math.sqrt(tiles)));
  return { columns, rows: Math.max(1, Math.ceil(tiles / columns)) };
}
