// The addresses of the service. The page may be below a path of a server, so no path begins with a slash.

/** Returns the absolute URL of a path of the service, such as `streams/front-door/stream.m3u8`. */
export function addressOf(path: string): string {
  return new URL(path, document.baseURI).href;
}
