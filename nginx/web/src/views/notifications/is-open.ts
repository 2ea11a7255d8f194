// Whether the dialog with the notifications is open.
import { signal } from "@preact/signals";

export const isOpen = signal(false);
