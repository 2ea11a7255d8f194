// An S3 server (moto) with the bucket `cameras`, behind a proxy that counts the bytes of the responses.

import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";

import { Child } from "./child.mjs";

const INSTALLED = fileURLToPath(
  new URL("../../../target/tools/moto/bin/moto_server", import.meta.url),
);

export class S3 {
  /** Bytes of all responses. */
  received = 0;

  /** Starts a server, and ends it at the end of the test. */
  static async startFor(t) {
    const s3 = new this();
    const program = process.env.MOTO_SERVER_BIN || INSTALLED;
    if (!existsSync(program)) {
      throw new Error(`${program} is missing; see tests/README.md`);
    }
    s3.server = new Child(program, ["-H", "127.0.0.1", "-p", "0"]);
    const [, port] = await s3.server.waitForOutput(/http:\/\/127\.0\.0\.1:(\d+)/, 30);
    s3.proxy = createServer((client) => {
      const server = connect(Number(port), "127.0.0.1");
      client.pipe(server);
      server.pipe(client);
      server.on("data", (data) => (s3.received += data.length));
      for (const [socket, other] of [
        [client, server],
        [server, client],
      ]) {
        socket.on("error", () => other.destroy());
      }
    });
    s3.proxy.listen(0, "127.0.0.1");
    await once(s3.proxy, "listening");
    t.after(async () => {
      s3.proxy.close();
      await s3.server.end();
    });
    // moto finds the service in this header.
    const authorization =
      "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    const created = await fetch(`http://127.0.0.1:${port}/cameras`, {
      method: "PUT",
      headers: { authorization },
    });
    if (!created.ok) {
      throw new Error(await created.text());
    }
    return s3;
  }

  /** The settings of a manager that copies recordings to the server. */
  get variables() {
    return {
      OFFSITE_URL: "s3://cameras",
      OFFSITE_ENDPOINT: `http://127.0.0.1:${this.proxy.address().port}`,
      OFFSITE_ACCESS_KEY: "key",
      OFFSITE_SECRET_KEY: "secret",
    };
  }
}
