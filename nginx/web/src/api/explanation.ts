// Explanations of errors in the user's language.
import type { Failure } from "../ui/failure";
import { dateTimeSeconds, isKey, t } from "../ui/i18n";
import { type Coded, Problem } from "./problem";
import { spansIn } from "./spans";

/** Returns the explanation of an error; a general explanation if the page has no text for the code. */
export function explain({ code, detail }: Coded): Failure {
  const key = `error.${code}`;
  const text = t(isKey(key) ? key : "error.unexpected");
  const parts = code === "formats_differ" ? spansIn(detail ?? "") : [];
  if (parts.length > 0) {
    // The detail has the same times, but in UTC.
    const times = parts.map(({ from, to }) => `${dateTimeSeconds(from)} – ${dateTimeSeconds(to)}`);
    return { text: `${text} ${t("recordings.parts", { parts: times.join("; ") })}`, detail: null };
  }
  return { text, detail: detail !== null && addsTo(text, detail) ? detail : null };
}

/** Returns whether the detail has a word that the text does not have. */
function addsTo(text: string, detail: string): boolean {
  const words = (sentence: string) => sentence.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const known = new Set(words(text));
  return words(detail).some((word) => !known.has(word));
}

/** Returns the explanation of a thrown value, which may be a Problem or any other value. */
export function failureOf(error: unknown): Failure {
  return error instanceof Problem
    ? explain(error)
    : { text: t("error.unexpected"), detail: String(error) };
}
