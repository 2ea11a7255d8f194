// Errors of requests and streams, and their explanations in the user's language.
import type { Failure } from "../ui/failure";
import { isKey, t } from "../ui/i18n";

/** An error with a stable code, which the service or the page itself has assigned. */
export interface Coded {
  code: string;
  /** A description in English, usually from the service; null if the problem has no description. */
  detail: string | null;
}

export class Problem extends Error implements Coded {
  constructor(
    /** The HTTP status; 0 if the error is not a response to a request. */
    readonly status: number,
    readonly code: string,
    readonly detail: string | null = null,
    /** The fingerprint of a camera's certificate that was not accepted. */
    readonly certificate: string | null = null,
  ) {
    super(detail ?? code);
  }
}

/** Parses a body of type `application/problem+json`. Returns null if the body is something else. */
export function problemOf(status: number, body: string | null): Problem | null {
  try {
    const { code, detail, onvif_certificate: certificate = null } = JSON.parse(body ?? "");
    return typeof detail === "string"
      ? new Problem(status, String(code), detail, certificate)
      : null;
  } catch {
    return null;
  }
}

/** Returns the explanation of an error; a general explanation if the page has no text for the code. */
export function explain({ code, detail }: Coded): Failure {
  const key = `error.${code}`;
  const text = t(isKey(key) ? key : "error.unexpected");
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
