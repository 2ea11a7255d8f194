// A notice that is shown for some seconds. Screen readers announce it.
import { signal, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";

import { type Failure, FailureText } from "./failure";

const SHOWN_MS = 4000;
const ERROR_SHOWN_MS = 10_000;

export const notice = signal<(Failure & { isError: boolean }) | null>(null);
let timer: ReturnType<typeof setTimeout> | undefined;

/** Shows a text as a notice. */
export function notify(text: string, isError = false): void {
  show({ text, detail: null }, isError);
}

/** Shows an error as a notice. */
export function notifyFailure(failure: Failure): void {
  show(failure, true);
}

function show(failure: Failure, isError: boolean): void {
  notice.value = { ...failure, isError };
  clearTimeout(timer);
  timer = setTimeout(() => (notice.value = null), isError ? ERROR_SHOWN_MS : SHOWN_MS);
}

/** The notice, as a popover, so that it is above dialogs and elements in full screen. */
export function Notice() {
  const ref = useRef<HTMLDivElement>(null);
  useSignalEffect(() => {
    ref.current?.hidePopover?.();
    if (notice.value) {
      ref.current?.showPopover?.();
    }
  });
  const now = notice.value;
  return (
    <div ref={ref} popover="manual" class="notice" role="status" aria-live="polite">
      {now && (
        <p class={now.isError ? "error" : ""}>
          <FailureText failure={now} />
        </p>
      )}
    </div>
  );
}
