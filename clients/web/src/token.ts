// The playback token, as far as a player needs to read it.

/** Returns the token in the address of a stream, such as `hls_url` of a session; other values are tokens themselves. */
export function tokenIn(value: string): string {
  return /\/play\/([^/]+)\//.exec(value)?.[1] ?? value;
}

interface Claims {
  exp?: unknown;
}

/** Returns the Unix time in milliseconds at which a token expires; null if the token does not contain it. */
export function expiryOf(token: string): number | null {
  try {
    const [, payload = ""] = token.split(".");
    const text = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const { exp } = JSON.parse(text) as Claims;
    return typeof exp === "number" && Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}
