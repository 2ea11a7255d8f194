// A box that scrolls its content.
import type { ComponentChildren } from "preact";

interface ScrollBoxProps {
  label: string;
  class: string;
  children: ComponentChildren;
}

/** Takes the focus, so that the keyboard scrolls it as well. */
export function ScrollBox({ label, class: name, children }: ScrollBoxProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without focus the keyboard cannot scroll it
    <section class={name} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
