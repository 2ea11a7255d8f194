// Starts a second nginx, with a self-signed certificate, in front of the manager. This nginx serves the manager over
// HTTPS and HTTP/2, as an operator's own nginx would.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Child } from "./child.mjs";
import { freePort } from "./port.mjs";
import { until } from "./until.mjs";

const START_SECONDS = 20;

/**
 * Starts a second nginx in front of a service's manager, with a self-signed certificate. Returns the origin
 * of that nginx, which is stopped at the end of the test.
 */
export async function startTls(t, service) {
  const { directory, key, certificate } = selfSigned(t);
  const port = await freePort();
  const listen = `127.0.0.1:${port} ssl http2; ssl_certificate ${certificate}; ssl_certificate_key ${key}`;
  const file = join(directory, "nginx.conf");
  writeFileSync(file, service.nginxConfiguration(listen, directory));
  const nginx = new Child("nginx", ["-e", "stderr", "-c", file, "-g", "daemon off;"]);
  t.after(() => nginx.end());
  const origin = `https://localhost:${port}`;
  await until(`${origin} responds`, START_SECONDS, () => responds(origin));
  return origin;
}

/**
 * Creates a self-signed certificate in a directory that is deleted at the end of the test. Returns the directory,
 * and the paths of the key and the certificate.
 */
export function selfSigned(t) {
  const directory = mkdtempSync(join(tmpdir(), "browser-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => join(directory, name));
  const subject = ["-subj", "/CN=localhost", "-days", "1"];
  const output = ["-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", ...subject, ...output], { stdio: "ignore" });
  return { directory, key, certificate };
}

/** Resolves to a response of the server, or to null if it does not respond. Does not check its certificate. */
function responds(origin) {
  return new Promise((resolve) => {
    get(origin, { rejectUnauthorized: false }, (response) => resolve(response.resume())).on(
      "error",
      () => resolve(null),
    );
  });
}
