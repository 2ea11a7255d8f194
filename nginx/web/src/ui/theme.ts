// The theme of the page: light, dark, or the system's theme.
import { signal } from "@preact/signals";

import { userStorage } from "./storage";

export type Theme = "system" | "light" | "dark";

const STORED = "theme";

export const theme = signal<Theme>("system");

export function chooseTheme(chosen: Theme): void {
  theme.value = chosen;
  // This attribute determines color-scheme in the style sheet, and color-scheme determines the result of
  // every light-dark().
  if (chosen === "system") {
    document.documentElement.removeAttribute("data-theme");
    userStorage.removeItem(STORED);
  } else {
    document.documentElement.dataset.theme = chosen;
    userStorage.setItem(STORED, chosen);
  }
}

export function initTheme(): void {
  const stored = userStorage.getItem(STORED);
  chooseTheme(stored === "light" || stored === "dark" ? stored : "system");
}
