// Runs a manager and nginx as separate processes, for tests that kill one of the two. (deploy/run stops all
// of its processes when one of them exits.)
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Child } from "./child.mjs";
import { freePort } from "./port.mjs";
import { until } from "./until.mjs";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const START_SECONDS = 60;

/** A manager without cameras, and nginx in front of the manager. */
export class Parts {
  /**
   * Starts both. `corsOrigins` is the value of CORS_ORIGINS, and `variables` are environment variables of the manager. With
   * `records`, cameras can be recorded.
   */
  static async start({ corsOrigins = "*", variables = {}, records = false } = {}) {
    const parts = new this();
    const recordings = records ? { RECORDINGS_DIRS: join(parts.directory, "recordings") } : {};
    try {
      await parts.startManager({ ...recordings, ...variables });
      await parts.#startNginx({ ...recordings, CORS_ORIGINS: corsOrigins });
      return parts;
    } catch (error) {
      await parts.end();
      throw new Error(`${error.message}\n${parts.manager?.output}\n${parts.nginx?.output}`);
    }
  }

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "browser-test-"));
    process.on("exit", () =>
      rmSync(this.directory, { recursive: true, force: true, maxRetries: 10 }),
    );
  }

  /** Starts the manager, on the same port and with the same files as before, and with these variables. */
  async startManager(variables = {}) {
    this.port ??= await freePort();
    const streams = join(this.directory, "streams");
    const env = {
      PORT: String(this.port),
      ALLOW_ANONYMOUS: "true",
      // Managers that run at the same time would use the same default port.
      WEBRTC_PORT: "off",
      STREAM_DIR: streams,
      DATABASE_URL: `sqlite:${streams}.db`,
      ...variables,
    };
    const program = process.env.MANAGER_BIN || join(ROOT, "target/release/stream-manager");
    this.manager = new Child(program, [], env);
    await waitForOk(`http://127.0.0.1:${this.port}/readyz`);
  }

  async #startNginx(more) {
    const port = await freePort();
    const configuration = join(this.directory, "nginx.conf");
    const variables = {
      NGINX_USER: userInfo().username,
      NGINX_LISTEN: `127.0.0.1:${port}`,
      NGINX_RUN_DIR: this.directory,
      MANAGER_ADDR: `127.0.0.1:${this.port}`,
      STREAM_DIR: join(this.directory, "streams"),
      WEB_DIR: join(ROOT, "nginx/web/dist"),
      START_WAIT_SECONDS: "240",
      NGINX_ACCESS_LOG: "/dev/null",
      NGINX_ERROR_LOG: "stderr",
      ...more,
    };
    const values = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    const render = '. deploy/lib.sh; web_build; render_nginx "$@"';
    execFileSync("bash", ["-euc", render, "bash", configuration, ...values], { cwd: ROOT });
    this.nginx = new Child("nginx", ["-e", "stderr", "-c", configuration, "-g", "daemon off;"]);
    this.origin = `http://localhost:${port}`;
    await waitForOk(this.origin);
  }

  /** Kills the manager and its children, as a crash would. The manager's files remain. */
  async killManager() {
    this.manager.kill();
    await this.manager.waitForExit(10);
  }

  async end() {
    await this.nginx?.end();
    await this.manager?.end();
  }
}

/** Waits until `url` responds with a success status. */
async function waitForOk(url) {
  await until(`${url} responds`, START_SECONDS, () =>
    fetch(url).then(
      (response) => response.ok,
      () => false,
    ),
  );
}
