// Tests of the connection of an element to a service, with a simulated service and a simulated clock.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { install, settled } from "../../../nginx/web/tests/support/browser.mjs";
import { load } from "../../../nginx/web/tests/support/load.mjs";

install();
const { TokenHost } = await load("../../../clients/web/src/host.ts");
const { follow } = await load("player/follow.ts");

const SERVER = "https://video.example";
const REQUEST = { id: "gate", profile: "main", output: "none", waits: false };
const HOUR_MS = 3_600_000;

/** Returns a token that expires after this time. */
function tokenFor(milliseconds, name = "x") {
  const claims = JSON.stringify({ exp: (Date.now() + milliseconds) / 1000 });
  return `${name}.${Buffer.from(claims).toString("base64url")}.x`;
}

/** Returns a host, and a service that accepts the tokens in `valid`. */
function setUp(t, ...valid) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.now() });
  let now = 1000;
  mock.method(performance, "now", () => now);
  t.after(() => {
    mock.timers.reset();
    mock.restoreAll();
  });
  const service = { valid: new Set(valid), requests: [] };
  globalThis.fetch = (url) => {
    const [, token] = /\/play\/([^/]+)\//.exec(url) ?? [];
    service.requests.push(token);
    const body = JSON.stringify({ code: "unauthorized", detail: "no" });
    const isValid = service.valid.has(token);
    const response = isValid ? new Response("picture") : new Response(body, { status: 401 });
    return service.respond?.() ?? Promise.resolve(response);
  };
  const ends = [];
  const problems = [];
  const host = new TokenHost({
    onPoster: () => undefined,
    onProblem: ({ code }) => problems.push(code),
    onSessionEnd: ({ code }) => ends.push(code),
  });
  const pass = async (milliseconds) => {
    now += milliseconds;
    mock.timers.tick(milliseconds);
    await settled();
  };
  /** Makes an attempt. Returns the code of its problem; null if it can begin. */
  const start = async (signal = new AbortController().signal) => {
    try {
      await host.obtainPermission("gate");
      await host.start(REQUEST, signal, {});
      return null;
    } catch ({ code }) {
      return code;
    }
  };
  return { host, service, ends, problems, pass, start };
}

test("the end of a session is reported, also if the page has replaced the token while it was playing", async (t) => {
  const { host, service, ends, start } = setUp(t, "one", "two");
  host.set(SERVER, "one");
  assert.equal(await start(), null);
  host.set(SERVER, "two");
  service.valid = new Set(["two"]);
  // A connection that began with the first token has ended. The second one is valid.
  await host.renew();
  assert.equal(await start(), null);
  assert.deepEqual(ends, []);
  host.set(SERVER, "three");
  service.valid.clear();
  await host.renew();
  assert.equal(await start(), "unauthorized");
  assert.deepEqual(ends, ["unauthorized"]);
});

test("a token that the service has never accepted is no session that ends", async (t) => {
  const { host, ends, start, problems } = setUp(t);
  host.set(SERVER, "wrong");
  assert.equal(await start(), "unauthorized");
  assert.deepEqual([ends, problems], [[], []]);
});

test("a token of getToken that the service rejects is requested again, and ends no session", async (t) => {
  const { host, service, ends, start } = setUp(t, "one");
  const tokens = ["one", "one", "two"];
  host.getToken = () => tokens.shift();
  host.set(SERVER, null);
  assert.equal(await start(), null);
  // The session was ended, and the back end of the page still returns its token.
  service.valid = new Set(["two"]);
  assert.equal(await start(), "unauthorized");
  assert.deepEqual(ends, []);
  assert.equal(await start(), null);
  assert.deepEqual(service.requests, ["one", "one", "one", "one", "two"]);
});

test("a user who is not permitted has no session, also at the first call of getToken", async (t) => {
  const { host, ends, start } = setUp(t);
  host.getToken = () => Promise.resolve(null);
  host.set(SERVER, null);
  assert.equal(await start(), "unauthorized");
  assert.deepEqual(ends, ["unauthorized"]);
});

test("a check that was aborted accepts no token", async (t) => {
  const { host, service, ends, start } = setUp(t);
  const attempt = new AbortController();
  service.respond = () => {
    attempt.abort();
    return Promise.reject(new Error("aborted"));
  };
  host.set(SERVER, "wrong");
  await start(attempt.signal);
  service.respond = undefined;
  assert.equal(await start(), "unauthorized");
  assert.deepEqual(ends, []);
});

test("a getToken that never responds fails after a time limit", async (t) => {
  const { host, pass, start } = setUp(t, "one");
  host.getToken = () => new Promise(() => undefined);
  host.set(SERVER, null);
  const found = start();
  await settled();
  await pass(30_000);
  assert.equal(await found, "token_unavailable");
  host.getToken = () => "one";
  assert.equal(await start(), null);
});

test("a getToken that is set while the video plays renews the token before it expires", async (t) => {
  const [first, second] = [tokenFor(HOUR_MS, "first"), tokenFor(2 * HOUR_MS, "second")];
  const { host, pass, start } = setUp(t, first, second);
  host.set(SERVER, first);
  host.addPlayer();
  assert.equal(await start(), null);
  let calls = 0;
  host.getToken = () => {
    calls += 1;
    return second;
  };
  await pass(0.59 * HOUR_MS);
  assert.equal(calls, 0);
  await pass(0.02 * HOUR_MS);
  assert.equal(calls, 1);
  assert.ok(host.addressOf("gate", "live").includes(second));
  host.getToken = null;
  await pass(2 * HOUR_MS);
  assert.equal(calls, 1);
  host.removePlayer();
});

test("connections are replaced before the token ends with which they began", async (t) => {
  const old = tokenFor(0.1 * HOUR_MS, "old");
  const { host, pass } = setUp(t);
  mock.method(Math, "random", () => 0.999);
  let replaced = 0;
  const replace = () => {
    replaced += 1;
  };
  host.set(SERVER, old);
  const stop = follow(host, replace, replace, replace);
  replaced = 0; // Signals report their values at the beginning.
  host.set(SERVER, tokenFor(HOUR_MS, "new"));
  // Not all at the same moment, but while the first token is still valid for a while.
  await pass(0.03 * HOUR_MS);
  assert.equal(replaced, 0);
  await pass(0.02 * HOUR_MS);
  assert.equal(replaced, 1);
  // The delay of a timer has a limit.
  host.set(SERVER, tokenFor(20_000 * HOUR_MS, "long"));
  host.set(SERVER, tokenFor(20_000 * HOUR_MS, "longer"));
  await pass(HOUR_MS);
  assert.equal(replaced, 1);
  stop();
});
