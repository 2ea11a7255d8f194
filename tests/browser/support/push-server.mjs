// Starts a push server for one browser. It decrypts the notifications as a browser does (RFC 8188, RFC 8291).
import { execFileSync } from "node:child_process";
import { createDecipheriv, createECDH, hkdfSync, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { until } from "./until.mjs";

const PUSHED_SECONDS = 20;

export class PushServer {
  /** The contents of the notifications, in the order in which they came. */
  pushed = [];
  /** The status of the next response. */
  status = 201;

  /** Starts a push server at https://localhost, which ends with the test file. */
  static async start() {
    const directory = mkdtempSync(join(tmpdir(), "browser-test-"));
    process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
    const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => join(directory, name));
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    // TLS libraries refuse the certificate of an authority as that of a server.
    subject.push("-addext", "basicConstraints=critical,CA:FALSE");
    const output = ["-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate];
    const command = ["req", "-x509", "-days", "2", ...subject, ...output];
    execFileSync("openssl", command, { stdio: "ignore" });
    return new PushServer(certificate, readFileSync(key), readFileSync(certificate)).#listen();
  }

  constructor(file, key, cert) {
    this.certificate = file;
    this.browser = createECDH("prime256v1");
    this.browser.generateKeys();
    this.auth = randomBytes(16);
    this.server = createServer({ key, cert }, (request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        this.pushed.push(JSON.parse(this.#decrypt(Buffer.concat(chunks))));
        response.writeHead(this.status).end();
      });
    });
  }

  async #listen() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    // The tests do not wait for the server to end.
    this.server.unref();
    return this;
  }

  /** The settings of a manager that trusts the server and can connect to it. */
  get settings() {
    return { SSL_CERT_FILE: this.certificate, PUSH_ALLOW_NETS: "127.0.0.0/8 ::1" };
  }

  /** The fields of a browser's subscription. */
  get subscription() {
    return {
      endpoint: `https://localhost:${this.server.address().port}/send/1`,
      keys: {
        p256dh: this.browser.getPublicKey("base64url"),
        auth: this.auth.toString("base64url"),
      },
    };
  }

  /** Waits for a notification with this number, counted from 1, and returns its content. */
  receives(count) {
    const has = () => this.pushed.length >= count && this.pushed[count - 1];
    return until(`notification ${count} arrives`, PUSHED_SECONDS, has);
  }

  /** Decrypts a body of the encoding aes128gcm with one record. */
  #decrypt(body) {
    const salt = body.subarray(0, 16);
    const idLength = body[20];
    const sender = body.subarray(21, 21 + idLength);
    const sealed = body.subarray(21 + idLength);
    const derive = (secret, salted, info, length) =>
      Buffer.from(hkdfSync("sha256", secret, salted, info, length));
    const shared = this.browser.computeSecret(sender);
    const context = Buffer.concat([
      Buffer.from("WebPush: info\0"),
      this.browser.getPublicKey(),
      sender,
    ]);
    const secret = derive(shared, this.auth, context, 32);
    const key = derive(secret, salt, Buffer.from("Content-Encoding: aes128gcm\0"), 16);
    const nonce = derive(secret, salt, Buffer.from("Content-Encoding: nonce\0"), 12);
    const decipher = createDecipheriv("aes-128-gcm", key, nonce);
    decipher.setAuthTag(sealed.subarray(-16));
    const padded = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
    // The content ends with the byte 2 and padding.
    return padded.subarray(0, padded.lastIndexOf(2)).toString();
  }
}
