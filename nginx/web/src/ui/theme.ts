// Light, dark, or as the system is.
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const STORED = "theme";

export const theme = signal<Theme>("system");

export function chooseTheme(wanted: Theme): void {
  theme.value = wanted;
  // color-scheme decides which half of every light-dark() counts.
  if (wanted === "system") {
    document.documentElement.removeAttribute("data-theme");
    localStorage.removeItem(STORED);
  } else {
    document.documentElement.dataset.theme = wanted;
    localStorage.setItem(STORED, wanted);
  }
}

export function initTheme(): void {
  const stored = localStorage.getItem(STORED);
  chooseTheme(stored === "light" || stored === "dark" ? stored : "system");
}
