// The keys of the view of recordings. They work wherever the focus is, except in fields and dialogs.
import { useEffect, useRef } from "preact/hooks";

type KeyActions = Record<string, () => void>;

/** Calls the action of a key that is pressed, such as `arrowleft` or `shift+arrowleft`. */
export function useKeys(actions: KeyActions): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const { ctrlKey, metaKey, altKey, shiftKey, key, target, defaultPrevented } = event;
      const element = target as Element;
      const isField = element.closest?.("input, select, textarea");
      const isDialog = document.querySelector("dialog[open]");
      // Space presses the button that has the focus.
      const isButton = key === " " && element.closest?.("button, a, summary");
      if (ctrlKey || metaKey || altKey || defaultPrevented || isField || isDialog || isButton) {
        return;
      }
      const name = key.toLowerCase();
      const action = latest.current[shiftKey && key.length > 1 ? `shift+${name}` : name];
      if (action) {
        event.preventDefault();
        action();
      }
    };
    // A list in which a pointer has chosen something would keep the keys.
    let pressed: EventTarget | null = null;
    const onDown = ({ target }: Event) => {
      pressed = target;
    };
    const onChange = ({ target }: Event) => {
      if (target instanceof HTMLSelectElement && target === pressed && !target.closest("dialog")) {
        target.blur();
      }
    };
    addEventListener("keydown", onKey);
    addEventListener("pointerdown", onDown);
    addEventListener("change", onChange);
    return () => {
      removeEventListener("keydown", onKey);
      removeEventListener("pointerdown", onDown);
      removeEventListener("change", onChange);
    };
  }, []);
}
