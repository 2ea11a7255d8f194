// The cameras of source.mjs, in a process of their own.
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";

const SOURCE = fileURLToPath(new URL("./source.mjs", import.meta.url));

/** The cameras, however many. */
export class Source {
  static async start() {
    const child = new Child(process.execPath, [SOURCE]);
    const [, text] = await child.says(/^(\{"event":"ready".*)$/m, 120);
    return new Source(child, JSON.parse(text));
  }

  constructor(child, { port, bitRate }) {
    Object.assign(this, { child, port, bitRate });
  }

  links(first, count) {
    return Array.from({ length: count }, (_, index) => `rtsp://127.0.0.1:${this.port}/${first + index}`);
  }
}
