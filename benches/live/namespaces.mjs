// Two network namespaces with a bad line between them. They exist only while the benchmark runs. Needs root.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";

const RELAY = fileURLToPath(new URL("./relay.py", import.meta.url));
/** Addresses of the service and of the viewer. They are in a network for benchmarks (RFC 2544). */
export const SERVICE_ADDRESS = "198.18.17.1";
const VIEWER_ADDRESS = "198.18.17.2";
const START_SECONDS = 10;

const ip = (...args) => execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });

/** Removes a namespace. Does nothing if it does not exist. */
function remove(name) {
  try {
    ip("netns", "del", name);
  } catch {
    // The namespace was not created.
  }
}

/** Returns the reason why this process cannot create the namespaces, or null. */
export function obstacle() {
  return process.getuid() === 0 ? null : "root is needed for network namespaces";
}

/** The namespaces of the service and of the viewer, and the line between them. */
export class Namespaces {
  /**
   * Creates the namespaces. The line loses `loss` percent of the packets in each direction, and has a round trip of
   * `delay` milliseconds, a rate of `rate` Mbit/s, and a queue of `queue` milliseconds. TCP in the service's
   * namespace uses this congestion control.
   */
  static async create(options) {
    const namespaces = new Namespaces();
    try {
      await namespaces.#connect(options);
      return namespaces;
    } catch (error) {
      await namespaces.end();
      throw error;
    }
  }

  constructor() {
    this.service = `live-service-${process.pid}`;
    this.viewer = `live-viewer-${process.pid}`;
    // Also after a failure or a signal, which child.mjs turns into an exit.
    this.removeAll = () => [this.service, this.viewer].forEach(remove);
    process.on("exit", this.removeAll);
  }

  async #connect({ loss, delay, rate, queue, congestion }) {
    const devices = { [this.service]: `lvs${process.pid}`, [this.viewer]: `lvv${process.pid}` };
    const addresses = { [this.service]: SERVICE_ADDRESS, [this.viewer]: VIEWER_ADDRESS };
    const line = Object.entries({ loss, delay, rate, queue }).flatMap(([name, value]) => {
      return [`--${name}`, String(value)];
    });
    this.relay = new Child(RELAY, [...Object.values(devices), ...line]);
    await this.relay.waitForOutput(/^ready$/m, START_SECONDS);
    for (const [name, device] of Object.entries(devices)) {
      ip("netns", "add", name);
      ip("link", "set", device, "netns", name);
      ip("-n", name, "address", "add", `${addresses[name]}/24`, "dev", device);
      ip("-n", name, "link", "set", "lo", "up");
      ip("-n", name, "link", "set", device, "up");
    }
    const setting = `net.ipv4.tcp_congestion_control=${congestion}`;
    ip("netns", "exec", this.service, "sysctl", "-qw", setting);
  }

  async end() {
    await this.relay?.end();
    this.removeAll();
    process.removeListener("exit", this.removeAll);
  }
}
