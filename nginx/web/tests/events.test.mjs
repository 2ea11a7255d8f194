// Tests of following events: the parser of server-sent events, and the order of the list.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { transformWithEsbuild } from "vite";

async function load(path) {
  const file = new URL(`../src/${path}.ts`, import.meta.url);
  const { code } = await transformWithEsbuild(readFileSync(file, "utf8"), file.pathname);
  return import(`data:text/javascript,${encodeURIComponent(code)}`);
}
const { EventStreamParser } = await load("api/event-stream");
const { merge, refreshed } = await load("views/events/merge");

const STREAM =
  'retry: 2000\nid: 7\n\n: heartbeat\nid: 8\n\nid: 9\ndata: {"id":9}\n\nevent: reset\nid: 12\ndata: {}\n\n';

test("messages are parsed however the stream is split", () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new EventStreamParser();
    const messages = [];
    for (let at = 0; at < STREAM.length; at += size) {
      messages.push(...parser.push(STREAM.slice(at, at + size)));
    }
    assert.deepEqual(messages, [
      { type: "message", data: '{"id":9}' },
      { type: "reset", data: "{}" },
    ]);
    assert.equal(parser.lastId, "12");
  }
});

test("a message that was cut off does not count", () => {
  const parser = new EventStreamParser();
  assert.deepEqual(parser.push('id: 1\n\nid: 2\ndata: {"id":2}\n'), []);
  assert.equal(parser.lastId, "1");
  assert.deepEqual(parser.push("\n"), [{ type: "message", data: '{"id":2}' }]);
  assert.equal(parser.lastId, "2");
});

const event = (id, second, more = {}) => ({
  id,
  at: new Date(1e12 + second * 1000).toISOString(),
  ...more,
});
const idsOf = (list) => list.map(({ id }) => id);

test("events are added in the order of their times, and changed events are replaced", () => {
  let list = [event(3, 30), event(1, 10)];
  list = merge(list, event(4, 40), false);
  list = merge(list, event(5, 20), false);
  list = merge(list, event(6, 40), false);
  assert.deepEqual(idsOf(list), [6, 4, 3, 5, 1]);
  list = merge(list, event(3, 30, { until: "x" }), false);
  assert.deepEqual(idsOf(list), [6, 4, 3, 5, 1]);
  assert.equal(list[2].until, "x");
});

test("an event that belongs to a later page is left out", () => {
  const list = [event(3, 30), event(2, 20)];
  assert.deepEqual(idsOf(merge(list, event(4, 10), true)), [3, 2]);
  assert.deepEqual(idsOf(merge(list, event(4, 10), false)), [3, 2, 4]);
  assert.deepEqual(idsOf(merge(list, event(2, 20, { seen: true }), true)), [3, 2]);
});

test("a first page that is read again replaces the beginning of the list", () => {
  const seen = { seen: true };
  const list = { events: [event(4, 40), event(3, 30), event(2, 20), event(1, 10)], next: null };
  const page = { events: [event(4, 40, seen), event(3, 30)], next: "c" };
  const { events, next } = refreshed(list, page, 4);
  assert.deepEqual(idsOf(events), [4, 3, 2, 1]);
  assert.equal(events[0].seen, true);
  assert.equal(next, null, "the later pages are loaded already");
  // A list of unseen events loses the one that was marked. An event that has just happened stays.
  const unseen = { events: [event(5, 50), event(4, 40), event(3, 30)], next: null };
  const all = refreshed(unseen, { events: [event(3, 30)], next: null }, 4);
  assert.deepEqual(idsOf(all.events), [5, 3]);
  const short = refreshed({ events: [], next: null }, page, 4);
  assert.deepEqual([idsOf(short.events), short.next], [[4, 3], "c"]);
});
