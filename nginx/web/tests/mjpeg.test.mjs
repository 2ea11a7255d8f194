// Tests of the transport of JPEG pictures, with a simulated browser and a simulated service.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { FakeSocket, install, jobFor, settled } from "./support/browser.mjs";
import { load } from "./support/load.mjs";

install();
const { MjpegTransport } = await load("player/transports/mjpeg.ts");

/** A message with a picture that was taken at a Unix time in milliseconds. */
function picture(number, takenAt) {
  const message = new ArrayBuffer(20);
  const header = new DataView(message);
  header.setUint32(0, number);
  header.setFloat64(4, takenAt);
  header.setUint8(12, number);
  return message;
}

/** Starts the transport with an open socket, and a clock that the test moves. */
function setUp(t) {
  let now = 1000;
  mock.method(performance, "now", () => now);
  mock.method(Date, "now", () => performance.timeOrigin + now);
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.after(() => {
    mock.restoreAll();
    mock.timers.reset();
  });
  globalThis.createImageBitmap = async (blob) => {
    const name = new Uint8Array(await blob.arrayBuffer())[0];
    return { name, width: 640, height: 360, close: () => undefined };
  };
  const all = jobFor();
  const transport = new MjpegTransport(all.job, all.events);
  transport.start();
  const socket = FakeSocket.last;
  socket.open();
  const send = async (number, age) => {
    socket.deliver(picture(number, performance.timeOrigin + now - age));
    for (let turn = 0; turn < 4; turn += 1) {
      await settled();
    }
  };
  const run = (milliseconds) => {
    now += milliseconds;
    mock.timers.tick(milliseconds);
  };
  return { ...all, transport, socket, send, run };
}

test("pictures are requested in one of few widths, shown, and acknowledged", async (t) => {
  const { element, socket, send, log } = setUp(t);
  assert.equal(socket.url, "ws://cameras/streams/front/mjpeg?width=640");
  await send(1, 30);
  assert.deepEqual(element.drawn, [1]);
  assert.deepEqual(log, ["picture"]);
  assert.deepEqual(socket.sent, [{ type: "ack", number: 1 }]);
});

test("pictures that arrive unevenly are shown evenly, and late ones are left out", async (t) => {
  const { element, send, run } = setUp(t);
  const delays = [20, 120, 20, 120, 20, 120, 20, 120];
  let number = 0;
  for (const delay of delays) {
    run(delay);
    number += 1;
    await send(number, delay);
    run(200 - delay);
  }
  // The fast pictures now wait for 100 ms.
  run(20);
  await send(100, 20);
  assert.ok(!element.drawn.includes(100));
  run(101);
  assert.equal(element.drawn.at(-1), 100);
  // Two pictures are late: only the newer one is shown.
  run(3000);
  await send(101, 2000);
  await send(102, 1900);
  run(50);
  assert.equal(element.drawn.at(-1), 102);
});

test("the service's messages are understood", async (t) => {
  const { socket, log, transport } = setUp(t);
  await socket.deliver({ type: "rate", value: 10 });
  assert.equal(transport.keepUp().picturesPerSecond, 10);
  await socket.deliver({ type: "state", state: "reconnecting", detail: "away" });
  await socket.deliver({ type: "state", state: "live" });
  await socket.deliver({ type: "unknown" });
  assert.deepEqual(log, [{ away: true }, { away: false }]);
  const end = { code: "source_unreachable", detail: "no route to host" };
  await socket.deliver({ type: "end", ...end });
  assert.deepEqual(log.at(-1), { failed: { reason: "connection", problem: end } });
  await socket.drop();
  assert.equal(log.length, 3);
});

test("a busy service or an unreadable message is a failure of the transport only", async (t) => {
  for (const message of [{ type: "end", code: "busy", detail: "busy" }, "rubbish"]) {
    const { socket, log } = setUp(t);
    await socket.deliver(message);
    assert.equal(log[0].failed.reason, "connection");
    assert.equal(log[0].failed.problem, undefined);
    mock.restoreAll();
    mock.timers.reset();
  }
});

test("the code in the close frame is the reason if the message is missing", async (t) => {
  const { socket, log } = setUp(t);
  await socket.drop("stream_ended");
  assert.equal(log[0].failed.problem.code, "stream_ended");
});

test("a socket that is forbidden before it is open fails", async () => {
  globalThis.fetch = () => Promise.resolve(new Response("", { status: 404 }));
  const { job, events, log } = jobFor();
  new MjpegTransport(job, events).start();
  FakeSocket.last.onerror();
  await settled();
  assert.deepEqual(log, [{ failed: { reason: "connection" } }]);
});

test("the connection is fast enough or too slow, as the number of pictures per second shows", async (t) => {
  const { socket, send, run, log, transport } = setUp(t);
  await socket.deliver({ type: "rate", value: 10 });
  await send(1, 20);
  transport.keepUp();
  assert.deepEqual(log, ["picture"]);
  run(7000);
  await send(2, 20);
  transport.keepUp();
  assert.deepEqual(log, ["picture", "steady"]);
  await socket.deliver({ type: "rate", value: 1 });
  run(7000);
  await send(3, 20);
  transport.keepUp();
  assert.deepEqual(Object.keys(log.at(-1)), ["slow"]);
});

test("pictures are shown although the service's clock was set back", async (t) => {
  const { element, send, run } = setUp(t);
  await send(1, 20);
  run(100);
  await send(2, 3_600_000);
  run(100);
  await send(3, 3_600_000);
  assert.deepEqual(element.drawn, [1, 2, 3]);
});

test("while the camera is away, the last acknowledgement is repeated", async (t) => {
  const { socket, send, run, transport } = setUp(t);
  await send(1, 20);
  socket.onmessage({ data: JSON.stringify({ type: "state", state: "reconnecting" }) });
  run(10_000);
  const ack = { type: "ack", number: 1 };
  assert.deepEqual(socket.sent, [ack, ack]);
  transport.stop();
  run(10_000);
  assert.deepEqual(socket.sent, [ack, ack]);
});
