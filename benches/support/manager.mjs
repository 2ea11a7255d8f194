// The service as benchmarks use it: everything up, on tmpfs, spoken to without nginx's limits.
import { once } from "node:events";
import { Agent, request } from "node:http";
import { join } from "node:path";

import { Service } from "../../tests/browser/support/service.mjs";

/** The service, whose processes can be told apart. */
export class Manager {
  #agent = new Agent({ keepAlive: true, maxSockets: Infinity });

  static async start(directory, settings = {}) {
    const streams = join(directory, "streams");
    const all = { STREAM_DIR: streams, DATABASE_URL: `sqlite:${directory}/cameras.db` };
    const service = await Service.start({ ...all, ...settings }, ["--no-demo"]);
    return new Manager(service, streams);
  }

  constructor(service, streams) {
    this.service = service;
    this.streams = streams;
    /** Address of the API. */
    this.api = service.manager;
    /** Address that viewers use. */
    this.origin = service.origin;
    const manager = service.child.descendants().find(({ name }) => name === "stream-manager");
    /** Process id of the manager itself. */
    this.pid = manager.pid;
  }

  /** Process ids by what they are. */
  processes() {
    const all = this.service.child.descendants();
    const named = (name) => all.filter((each) => each.name === name).map(({ pid }) => pid);
    const children = all.filter(({ parent }) => parent === this.pid).map(({ pid }) => pid);
    return { manager: [this.pid], ffmpegs: children, nginx: named("nginx") };
  }

  /**
   * Asks the API; the answer's status and JSON. Waits no longer than the manager says it needs. By
   * the plain client, as `fetch` takes as long again as the manager.
   */
  async ask(path, body, signal) {
    const text = body && JSON.stringify(body);
    const headers = text ? { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) } : {};
    const asked = request(this.api + path, { agent: this.#agent, method: text ? "POST" : "GET", headers, signal });
    asked.end(text);
    const [answer] = await once(asked, "response");
    const chunks = await answer.toArray();
    return { status: answer.statusCode, body: JSON.parse(Buffer.concat(chunks)) };
  }

  /** All streams. */
  async all() {
    const { body } = await this.ask("/api/streams");
    return body.streams;
  }

  /** What it has said on stderr. */
  get log() {
    return this.service.child.output;
  }

  end() {
    return this.service.end();
  }
}
