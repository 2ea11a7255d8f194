// Errors of requests and streams.

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
