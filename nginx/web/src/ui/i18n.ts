// The texts of the page in the user's language, and the formatting of numbers and durations.
import { signal } from "@preact/signals";

import en from "../locales/en.json";
import { userStorage } from "./storage";

export type Key = keyof typeof en;
/**
 * The key of a text that depends on a number, without the plural form: `key` for `key.one` and `key.other`.
 */
type PluralKey = Key extends infer K ? (K extends `${infer Base}.other` ? Base : never) : never;
/** The texts of a language. The compiler rejects a language that lacks a text of the English file. */
type Texts = Record<Key, string>;
export type Language = "en" | "de";

const STORED = "language";

interface Source {
  /** The name of the language in that language. */
  name: string;
  load: () => Promise<Texts>;
}

export const LANGUAGES: Record<Language, Source> = {
  en: { name: "English", load: async () => en },
  de: { name: "Deutsch", load: async () => (await import("../locales/de.json")).default },
};

/**
 * The language tag with which the page formats times and numbers: that of the browser for the language of the texts, such
 * as `en-GB`.
 */
export const language = signal<string>("en");
/** The language of the texts. */
export const textLanguage = signal<Language>("en");
const texts = signal<Texts>(en);

/** A language tag with more than the language. */
const REGIONAL = /^([a-z]{2,3})(-[A-Za-z0-9]{2,8})+$/;

/** Letters of scripts that are written from right to left, and characters that change the direction. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;

/**
 * Returns the text, in which the values replace placeholders such as `{name}`. A value that is written from right
 * to left does not change the order of the words around it.
 */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return texts.value[key].replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(values[name] ?? "");
    return RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value;
  });
}

/** Returns the text in the plural form for the number `n`, which replaces the placeholder `{n}`. */
export function plural(key: PluralKey, n: number): string {
  const form = `${key}.${new Intl.PluralRules(textLanguage.value).select(n)}`;
  return t(isKey(form) ? form : `${key}.other`, { n: number(n) });
}

/** Returns whether a text with this key exists. A newer service may send codes without a text. */
export function isKey(key: string): key is Key {
  return Object.hasOwn(texts.value, key);
}

function isLanguage(code: string): code is Language {
  return Object.hasOwn(LANGUAGES, code);
}

/** Returns the first tag of a language with a region in the browser's settings; without one, the language itself. */
function tagOf(chosen: Language): string {
  return navigator.languages.find((tag) => REGIONAL.exec(tag)?.[1] === chosen) ?? chosen;
}

async function setLanguage(chosen: Language): Promise<void> {
  texts.value = await LANGUAGES[chosen].load();
  language.value = tagOf(chosen);
  textLanguage.value = chosen;
  document.documentElement.lang = chosen;
}

export async function chooseLanguage(chosen: Language): Promise<void> {
  userStorage.setItem(STORED, chosen);
  await setLanguage(chosen);
}

/**
 * Sets the language that the user has chosen on an earlier visit, or else the language of the browser. Sets
 * English if the page does not have that language or cannot load its texts.
 */
export async function initLanguage(): Promise<void> {
  const code = userStorage.getItem(STORED) ?? navigator.language.slice(0, 2);
  await setLanguage(isLanguage(code) ? code : "en").catch(() => setLanguage("en"));
}

/** Formats a number in the user's language, with a fixed number of fraction digits. */
export function number(value: number, digits = 0): string {
  return value.toLocaleString(language.value, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Formats a duration in the user's language, for example: 45 s, 3 min, 2 h, 2 h 5 min, 3 days. */
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
    const rest = minutes % 60;
    return rest === 0
      ? t("duration.whole_hours", { n: hours })
      : t("duration.hours", { n: hours, m: rest });
  }
  return plural("duration.days", Math.floor(hours / 24));
}

/** Formats a time of the API (RFC 3339) as date and time in the user's language and time zone. */
export function dateTime(at: string): string {
  return new Date(at).toLocaleString(language.value, { dateStyle: "medium", timeStyle: "short" });
}

/** Formats the local time of day of a date in Unix milliseconds, such as 14:05:09 or, without seconds, 14:05. */
export function clock(date: number, hasSeconds = true): string {
  const timeStyle = hasSeconds ? "medium" : "short";
  return new Date(date).toLocaleTimeString(language.value, { timeStyle });
}

/** Like `dateTime`, but with seconds. */
export function dateTimeSeconds(at: string): string {
  return new Date(at).toLocaleString(language.value, { dateStyle: "medium", timeStyle: "medium" });
}

export function bitRate(bitsPerSecond: number): string {
  return bitsPerSecond >= 1e6
    ? `${number(bitsPerSecond / 1e6, 1)} Mbit/s`
    : `${number(bitsPerSecond / 1e3)} kbit/s`;
}

export function bytes(value: number): string {
  return `${number(value / 1e6, value < 1e8 ? 1 : 0)} MB`;
}

const SIZES = [
  [1e12, "TB"],
  [1e9, "GB"],
  [1e6, "MB"],
] as const;

/** Formats the size of recordings in bytes in the user's language, in MB, GB or TB. */
export function size(value: number): string {
  const [unit, name] = SIZES.find(([each]) => value >= each) ?? [1e6, "MB"];
  return `${number(value / unit, value / unit < 100 ? 1 : 0)} ${name}`;
}
