// The page's words, one file a language. What the API says of a failure is shown as it comes.
import { signal } from "@preact/signals";

import en from "../locales/en.json";

export type Key = keyof typeof en;
type Texts = Record<Key, string>;
export type Language = "en" | "de";

const STORED = "language";
export const LANGUAGES: Record<Language, string> = { en: "English", de: "Deutsch" };

/** The compiler refuses a file that misses a text. */
const FILES: Record<Language, () => Promise<Texts>> = {
  en: async () => en,
  de: async () => (await import("../locales/de.json")).default,
};

export const language = signal<Language>("en");
const texts = signal<Texts>(en);

/** The text, with `{name}` replaced by what is given. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return texts.value[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

export async function setLanguage(wanted: Language): Promise<void> {
  texts.value = await FILES[wanted]();
  language.value = wanted;
  document.documentElement.lang = wanted;
}

export async function chooseLanguage(wanted: Language): Promise<void> {
  localStorage.setItem(STORED, wanted);
  await setLanguage(wanted);
}

/** The one chosen before, or the browser's. */
export async function initLanguage(): Promise<void> {
  const stored = localStorage.getItem(STORED) ?? navigator.language.slice(0, 2);
  await setLanguage(stored === "de" ? "de" : "en").catch(() => setLanguage("en"));
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString(language.value, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** As people say it: 45 s, 3 min, 2 h 5 min, 3 d. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return t("duration.seconds", { n: whole });
  }
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) {
    return t("duration.minutes", { n: minutes });
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 48) {
    return t("duration.hours", { n: hours, m: minutes % 60 });
  }
  return t("duration.days", { n: Math.floor(hours / 24) });
}

export function bitRate(bitsPerSecond: number): string {
  return bitsPerSecond >= 1e6
    ? `${number(bitsPerSecond / 1e6, 1)} Mbit/s`
    : `${number(bitsPerSecond / 1e3)} kbit/s`;
}

export function bytes(value: number): string {
  return `${number(value / 1e6, value < 1e8 ? 1 : 0)} MB`;
}
