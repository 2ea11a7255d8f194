// The keys of the wall. They work wherever the focus is, except in fields and dialogs.
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

import { t } from "../../ui/i18n";
import { notify } from "../../ui/notice";

/** The actions of a tile, by key. */
type Shortcuts = Record<string, () => unknown>;

const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
const shortcutsOf = new Map<Element, Shortcuts>();

/** Sets the actions that the keys have while they apply to this tile. */
export function useShortcuts(tile: RefObject<HTMLElement>, shortcuts: Shortcuts): void {
  // This effect has no dependencies, so that the actions use the latest state of the tile.
  useEffect(() => {
    const element = tile.current;
    if (!element) {
      return;
    }
    shortcutsOf.set(element, shortcuts);
    return () => {
      shortcutsOf.delete(element);
    };
  });
}

/** Handles the keys while the wall is shown. Esc calls `onEscape`. */
export function useKeys(wall: RefObject<HTMLElement>, onEscape: () => void): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isModified = event.ctrlKey || event.metaKey || event.altKey;
      if (!wall.current || isModified || isElsewhere(event)) {
        return;
      }
      if (event.key === "Escape") {
        onEscape();
      } else if (ARROWS.includes(event.key)) {
        moveFocus(event, wall.current);
      } else {
        runShortcut(event, wall.current);
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [wall, onEscape]);
}

/** Returns whether a field, a dialog or an earlier listener handles the key. */
function isElsewhere(event: KeyboardEvent): boolean {
  const isField = (event.target as Element).closest?.("input, select, textarea");
  return Boolean(event.defaultPrevented || isField || document.querySelector("dialog[open]"));
}

/** Moves the focus to the next tile in the direction of the key, or to the first tile if no element has the focus. */
function moveFocus(event: KeyboardEvent, wall: HTMLElement): void {
  const columns = columnsOf(wall);
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
  };
  const tiles = [...wall.querySelectorAll<HTMLElement>(".tile-open")];
  const target = event.target as HTMLElement;
  const index = tiles.findIndex((button) => target.closest(".tile")?.contains(button));
  const isFree = [document.body, document.getElementById("main")].includes(target);
  if (index < 0 && !isFree) {
    return;
  }
  event.preventDefault();
  const next = index < 0 ? 0 : index + (steps[event.key] ?? 0);
  tiles[Math.min(tiles.length - 1, Math.max(0, next))]?.focus();
}

/**
 * Returns the number of columns that the wall shows. On a phone, the wall may show fewer columns than the
 * user has chosen.
 */
function columnsOf(wall: HTMLElement): number {
  return getComputedStyle(wall).gridTemplateColumns.split(" ").length;
}

/** Runs the action of a key. If several tiles are visible and none is chosen, explains how to choose one. */
function runShortcut(event: KeyboardEvent, wall: HTMLElement): void {
  const visible = [...shortcutsOf.keys()].filter((each) => each.checkVisibility?.() ?? true);
  if (!visible.some((each) => shortcutsOf.get(each)?.[event.key])) {
    return;
  }
  event.preventDefault();
  const tile =
    (event.target as Element).closest?.(".tile") ??
    (visible.length === 1 ? visible[0] : wall.querySelector(".tile:hover"));
  const action = tile && shortcutsOf.get(tile)?.[event.key];
  if (action) {
    void action();
  } else {
    notify(t("wall.no_tile"));
  }
}
