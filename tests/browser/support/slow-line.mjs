// A slow line between browsers and the service: a TCP proxy that passes on at most so many bits per second, for all
// connections together. What does not fit waits in the buffers of the service's end, as on a real line.
import { once } from "node:events";
import { connect, createServer } from "node:net";

const TICK_MS = 10;
/** Bytes of each connection that wait here. The rest waits in the kernel and in nginx. */
const MAX_WAITING = 16_384;
/** The connections take turns with this many bytes. */
const PIECE = 1448;

export class SlowLine {
  /** Starts a line to the service at `origin`, and ends it at the end of the test. At first, it is fast. */
  static async startFor(t, origin) {
    const line = new SlowLine(Number(new URL(origin).port));
    line.server.listen(0, "127.0.0.1");
    await once(line.server, "listening");
    line.origin = `http://localhost:${line.server.address().port}`;
    t.after(() => line.end());
    return line;
  }

  /** Bytes for each millisecond. */
  #rate = Number.POSITIVE_INFINITY;
  #connections = [];
  #budget = 0;
  #tickedAt = performance.now();

  constructor(port) {
    this.server = createServer((client) => this.#add(client, connect(port, "127.0.0.1")));
    this.timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Limits the line to so many kilobits per second. */
  limit(kbits) {
    this.#rate = kbits / 8;
  }

  #add(client, service) {
    const connection = { client, service, waiting: [], bytes: 0 };
    this.#connections.push(connection);
    client.setNoDelay();
    service.setNoDelay();
    client.pipe(service);
    service.on("data", (data) => {
      connection.waiting.push(data);
      connection.bytes += data.length;
      if (connection.bytes > MAX_WAITING) {
        service.pause();
      }
      if (this.#rate === Number.POSITIVE_INFINITY) {
        this.#tick();
      }
    });
    const end = () => {
      this.#connections = this.#connections.filter((other) => other !== connection);
      client.destroy();
      service.destroy();
    };
    service.on("end", () => {
      connection.hasEnded = true;
    });
    for (const socket of [client, service]) {
      socket.on("error", end);
    }
    client.on("close", end);
  }

  #tick() {
    const now = performance.now();
    const most = Math.max(this.#rate * 2 * TICK_MS, PIECE);
    const more = this.#rate === Infinity ? most : this.#rate * (now - this.#tickedAt);
    this.#budget = Math.min(most, this.#budget + more);
    this.#tickedAt = now;
    for (let isBusy = true; isBusy; ) {
      isBusy = false;
      for (const connection of this.#connections) {
        if (connection.bytes > 0 && this.#budget >= PIECE) {
          this.#budget -= pass(connection);
          isBusy = true;
        }
      }
    }
    for (const { client, hasEnded, bytes } of this.#connections) {
      if (hasEnded && bytes === 0) {
        client.end();
      }
    }
    // A connection that was served first is served last the next time.
    this.#connections.push(...this.#connections.splice(0, 1));
  }

  end() {
    clearInterval(this.timer);
    for (const { client, service } of [...this.#connections]) {
      client.destroy();
      service.destroy();
    }
    this.server.close();
  }
}

/** Passes on the next bytes of a connection. Returns their number. */
function pass(connection) {
  const { client, service, waiting } = connection;
  const first = waiting[0];
  const piece = first.subarray(0, PIECE);
  if (piece.length < first.length) {
    waiting[0] = first.subarray(PIECE);
  } else {
    waiting.shift();
  }
  connection.bytes -= piece.length;
  client.write(piece);
  if (connection.bytes < MAX_WAITING) {
    service.resume();
  }
  return piece.length;
}
