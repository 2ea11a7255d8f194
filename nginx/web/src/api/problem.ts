// Failures of requests and streams, and their explanation in the user's language.
import type { Failure } from "../ui/failure";
import { isKey, t } from "../ui/i18n";

/** A failure with a stable code: the service's, or one of the page's own. */
export interface Coded {
  code: string;
  /** The service's own text; null for a failure that the page has found. */
  detail: string | null;
}

export class Problem extends Error implements Coded {
  constructor(
    /** The HTTP status; 0 if there was no answer. */
    readonly status: number,
    readonly code: string,
    readonly detail: string | null = null,
  ) {
    super(detail ?? code);
  }
}

/** Returns the problem in a body of `application/problem+json`; null if there is none. */
export function problemOf(status: number, body: string | null): Problem | null {
  try {
    const { code, detail } = JSON.parse(body ?? "");
    return typeof detail === "string" ? new Problem(status, String(code), detail) : null;
  } catch {
    return null;
  }
}

/** Explains a code; one that the page does not know by the service's own text. */
export function explain({ code, detail }: Coded): Failure {
  const key = `error.${code}`;
  if (!isKey(key)) {
    return { text: detail ?? t("error.unexpected"), detail: null };
  }
  const text = t(key);
  return { text, detail: detail !== null && addsTo(text, detail) ? detail : null };
}

/** Whether the detail has a word that the text does not have. */
function addsTo(text: string, detail: string): boolean {
  const words = (sentence: string) => sentence.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const known = new Set(words(text));
  return words(detail).some((word) => !known.has(word));
}

/** Explains whatever was thrown. */
export function failureOf(error: unknown): Failure {
  return error instanceof Problem
    ? explain(error)
    : { text: t("error.unexpected"), detail: String(error) };
}
