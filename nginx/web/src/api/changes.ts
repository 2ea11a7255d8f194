// Counts the changes of cameras that this page has made, so that what shows them reads them anew.
import { signal } from "@preact/signals";

export const cameraChanges = signal(0);
