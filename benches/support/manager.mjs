// The complete service for benchmarks. Its streams and its database are in the benchmark's directory. API
// requests go directly to the manager, because nginx limits their rate.
import { once } from "node:events";
import { Agent, request } from "node:http";
import { join } from "node:path";

import { Service } from "../../tests/browser/support/service.mjs";

/** Time limit of a request to the API. Starts of streams wait for their cameras. */
const RESPONSE_SECONDS = 120;

/** The complete service, with access to its processes. */
export class Manager {
  #agent = new Agent({ keepAlive: true, maxSockets: Infinity });

  static async start(directory, settings = {}) {
    const streamDir = join(directory, "streams");
    const paths = { STREAM_DIR: streamDir, DATABASE_URL: `sqlite:${directory}/cameras.db` };
    const service = await Service.start({ ...paths, ...settings }, ["--no-demo"]);
    return new Manager(service, streamDir);
  }

  constructor(service, streamDir) {
    this.service = service;
    this.streamDir = streamDir;
    /** URL of the API, without nginx. */
    this.api = service.manager;
    /** URL of nginx, which viewers use. */
    this.origin = service.origin;
    const manager = service.child.descendants().find(({ name }) => name === "stream-manager");
    /** Process ID of the manager itself. */
    this.pid = manager.pid;
  }

  /** Returns the process IDs of the manager, of its FFmpegs and of nginx. */
  processes() {
    const processes = this.service.child.descendants();
    const nginx = processes.filter(({ name }) => name === "nginx").map(({ pid }) => pid);
    const ffmpegs = processes.filter(({ parent }) => parent === this.pid).map(({ pid }) => pid);
    return { manager: [this.pid], ffmpegs, nginx };
  }

  /**
   * Sends a request to the API: POST with a body, GET without one. Returns the status code and the JSON.
   * Uses Node's HTTP client, because `fetch` itself would take about as long as the manager takes to respond.
   */
  async call(path, body) {
    const text = body && JSON.stringify(body);
    const method = text ? "POST" : "GET";
    const headers = text
      ? { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) }
      : {};
    const signal = AbortSignal.timeout(RESPONSE_SECONDS * 1000);
    try {
      const sent = request(this.api + path, { agent: this.#agent, method, headers, signal });
      sent.end(text);
      const [response] = await once(sent, "response");
      const chunks = await response.toArray();
      return { status: response.statusCode, body: JSON.parse(Buffer.concat(chunks)) };
    } catch (error) {
      throw new Error(`${method} ${path}: ${error.message}`, { cause: error });
    }
  }

  /** Returns the API's list of streams with their states. */
  async streamStates() {
    const { body } = await this.call("/api/streams");
    return body.streams;
  }

  /** Returns the value of a metric, summed over all labels. Sends the API key if one is given. */
  async metric(name, key) {
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    const signal = AbortSignal.timeout(RESPONSE_SECONDS * 1000);
    const text = await (await fetch(`${this.api}/metrics`, { headers, signal })).text();
    const samples = text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"));
    return Array.from(samples, ([, value]) => Number(value)).reduce((sum, value) => sum + value, 0);
  }

  /** The output of all processes of the service so far. */
  get log() {
    return this.service.child.output;
  }

  end() {
    return this.service.end();
  }
}
