// A box with scrollable content.
import type { ComponentChildren } from "preact";

interface ScrollBoxProps {
  label: string;
  class: string;
  children: ComponentChildren;
}

/**
 * A box with scrollable content. The box can receive the focus, so that users can scroll with the keyboard.
 */
export function ScrollBox({ label, class: name, children }: ScrollBoxProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: keys scroll the box only while it has the focus
    <section class={name} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
