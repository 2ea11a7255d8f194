// Runs the whole service with deploy/run, as users do.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Child } from "./child.mjs";
import { freePort } from "./port.mjs";

const PROGRAM = fileURLToPath(new URL("../../../deploy/run", import.meta.url));
/** Time limit of a start. The first start installs packages and builds the service if necessary. */
const START_SECONDS = 900;

/** A service that `deploy/run` has started, on free ports and with its own directories. */
export class Service {
  /** Starts a service with these arguments of `deploy/run`. `settings` override the default settings. */
  static async start(settings = {}, args = []) {
    const directory = mkdtempSync(join(tmpdir(), "browser-test-"));
    // Retries, because processes that have just been killed can still write.
    const remove = { recursive: true, force: true, maxRetries: 10 };
    process.on("exit", () => rmSync(directory, remove));
    const cameraPort = String(await freePort());
    const defaults = {
      PORT: "0",
      NGINX_PORT: "0",
      // No key is needed, unless the settings contain API_KEYS.
      ALLOW_ANONYMOUS: "true",
      // Services that run at the same time would use the same default port.
      WEBRTC_PORT: "off",
      DEMO_CAMERA_PORT: cameraPort,
      STREAM_DIR: join(directory, "streams"),
      DATABASE_URL: `sqlite:${join(directory, "cameras.db")}`,
      TLS_DIR: join(directory, "tls"),
    };
    const env = { ...defaults, TMPDIR: directory, ...settings };
    const child = new Child(PROGRAM, args, env);
    const [, page] = await child.waitForOutput(/^open (https?:\S+)$/m, START_SECONDS);
    return new Service(child, directory, env, page);
  }

  constructor(child, directory, env, page) {
    this.child = child;
    this.directory = directory;
    this.streams = env.STREAM_DIR;
    this.demoLink = `rtsp://127.0.0.1:${env.DEMO_CAMERA_PORT}/h264`;
    /** Address of the page that shows the demo camera. */
    this.page = page;
    this.origin = new URL(page).origin;
  }

  /** Returns the service's nginx configuration, changed for a second nginx with this `listen` value and directory. */
  nginxConfiguration(listen, directory) {
    const entries = readdirSync(this.directory, { recursive: true });
    const file = join(
      this.directory,
      entries.find((name) => name.endsWith("nginx.conf")),
    );
    return readFileSync(file, "utf8")
      .replace(/^\s*listen .*$/m, `listen ${listen};`)
      .replace(/^(\s*(?:pid|\w+_temp_path)\s+)".*\/(\w[\w.]*)";$/gm, `$1"${directory}/$2";`);
  }

  /** The manager's own address, without nginx. */
  get manager() {
    return `http://${/listening.* address=(\S+)/.exec(this.child.output)[1]}`;
  }

  /** Returns the status of a stream. */
  async status(id) {
    return this.get(`stream/status?indicator_id=${id}`);
  }

  /** Returns the body of an API response, parsed as JSON. Sends the API key if one is given. */
  async get(path, key) {
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    return (await fetch(`${this.origin}/api/${path}`, { headers })).json();
  }

  /** Adds or replaces a camera. Throws if the API rejects it. */
  put(id, camera, key) {
    return this.#send("PUT", `cameras/${id}`, camera, key);
  }

  /** Reports an event of a camera. Throws if the status of the response is unexpected: not 200 or 201 by default. */
  async report(id, event, expected, key) {
    const response = await fetch(`${this.origin}/api/cameras/${id}/events`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(key && { Authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify(event),
    });
    if (expected === undefined ? !response.ok : response.status !== expected) {
      throw new Error(`the event of ${id}: ${response.status} ${await response.text()}`);
    }
  }

  /** Adds or replaces many cameras, with an import. Throws if the API rejects it. */
  import(cameras, key) {
    return this.#send("PUT", "cameras.json", cameras, key);
  }

  /** Deletes a camera. Throws if the API rejects it. */
  remove(id, key) {
    return this.#send("DELETE", `cameras/${id}`, undefined, key);
  }

  async #send(method, path, body, key) {
    const headers = {
      "Content-Type": "application/json",
      ...(key && { Authorization: `Bearer ${key}` }),
    };
    const response = await fetch(`${this.origin}/api/${path}`, {
      method,
      headers,
      body: JSON.stringify(body),
    });
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${await response.text()}`);
    }
  }

  /** Starts the stream of a known camera. */
  start(id) {
    return this.#post("start", id);
  }

  /** Stops a stream for all viewers. */
  stop(id) {
    return this.#post("stop", id);
  }

  async #post(action, id) {
    const body = JSON.stringify({ indicator_id: id });
    await fetch(`${this.origin}/api/stream/${action}`, { method: "POST", body });
  }

  /** Returns the names of the stream directories, such as `demo` or `demo~sub`. */
  streamDirectories() {
    const entries = readdirSync(this.streams, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  }

  /** Returns the names of the files of a stream. */
  streamFiles(id) {
    return readdirSync(join(this.streams, id));
  }

  end() {
    return this.child.end();
  }
}
