// A box with scrollable content.
import type { ComponentChildren } from "preact";

interface ScrollBoxProps {
  label: string;
  class: string;
  children: ComponentChildren;
}

/** A box with scrollable content. It can have the focus, so that the keyboard can scroll it. */
export function ScrollBox({ label, class: name, children }: ScrollBoxProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without focus the keyboard cannot scroll it
    <section class={name} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
