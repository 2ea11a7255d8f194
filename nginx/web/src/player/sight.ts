// Observes whether an element is visible to the user.

/**
 * An element that is no longer visible counts as visible for this time, so that a short visit to another tab
 * causes no restart of its player.
 */
const LEAVE_AFTER_MS = 10_000;

/**
 * Calls `onChange` when the element becomes visible in a visible tab, and when it has not been visible for
 * LEAVE_AFTER_MS. Returns a function that ends this.
 */
export function watchSight(element: Element, onChange: (isSeen: boolean) => void): () => void {
  let isNear = false;
  let leaving: ReturnType<typeof setTimeout> | undefined;
  const update = () => {
    clearTimeout(leaving);
    if (isNear && !document.hidden) {
      onChange(true);
    } else {
      leaving = setTimeout(() => onChange(false), LEAVE_AFTER_MS);
    }
  };
  const observer = new IntersectionObserver((entries) => {
    isNear = entries.at(-1)?.isIntersecting ?? true;
    update();
  });
  observer.observe(element);
  document.addEventListener("visibilitychange", update);
  return () => {
    observer.disconnect();
    clearTimeout(leaving);
    document.removeEventListener("visibilitychange", update);
  };
}
