// A box whose content may be wider or longer than itself.
import type { ComponentChildren } from "preact";

interface ScrollBoxProps {
  label: string;
  class: string;
  children: ComponentChildren;
}

/** Scrolls by the keyboard as well, for which it has to take the focus. */
export function ScrollBox({ label, class: name, children }: ScrollBoxProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without focus the keyboard cannot scroll it
    <section class={name} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
