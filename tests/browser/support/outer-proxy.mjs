// Runs a proxy in front of the service's nginx, as in many installations: another nginx, or Caddy.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

import { Child } from "./child.mjs";
import { freePort } from "./port.mjs";
import { until } from "./until.mjs";

const START_SECONDS = 20;

/**
 * Starts an nginx whose server block contains `directives`, and stops it at the end of the test. In the
 * directives, ACCOUNTS is a file for `auth_basic_user_file` with the user `anna` and the password `secret`.
 * Returns the origin of the nginx.
 */
export function startNginxFor(t, directives) {
  return startFor(t, (directory, port) => {
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (name) => `${name}_temp_path ${directory}/${name};`,
    );
    const accounts = join(directory, "accounts");
    writeFileSync(accounts, "anna:{PLAIN}secret\n");
    const configuration = `
      user ${userInfo().username};
      pid ${directory}/nginx.pid;
      error_log stderr;
      events {}
      http {
        access_log off;
        ${temporary.join("\n")}
        server { listen 127.0.0.1:${port}; ${directives.replaceAll("ACCOUNTS", accounts)} }
      }`;
    return [configuration, "nginx", ["-e", "stderr", "-g", "daemon off;", "-c"]];
  });
}

/** Starts a Caddy whose site contains `directives`, and stops it at the end of the test. Returns its origin. */
export function startCaddyFor(t, directives) {
  return startFor(t, (_, port) => {
    const configuration = `{\nadmin off\nauto_https off\n}\n:${port} {\nbind 127.0.0.1\n${directives}\n}\n`;
    return [configuration, "caddy", ["run", "--adapter", "caddyfile", "--config"]];
  });
}

async function startFor(t, configure) {
  const directory = mkdtempSync(join(tmpdir(), "browser-test-"));
  const port = await freePort();
  const [configuration, program, args] = configure(directory, port);
  const file = join(directory, "configuration");
  writeFileSync(file, configuration);
  const home = { HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
  const child = new Child(program, [...args, file], home);
  t.after(async () => {
    await child.end();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  });
  const origin = `http://localhost:${port}`;
  await until(`${program} responds; its output: ${child.output}`, START_SECONDS, () =>
    fetch(origin).then(
      () => true,
      () => child.hasExited,
    ),
  );
  if (child.hasExited) {
    throw new Error(`${program} ended: ${child.output}`);
  }
  return origin;
}
