// The playback token, as far as a player needs to read it.

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
