// Runs every command of the pages, except those that not-run.json lists with a reason.
//
// A block that is marked `sh` is run as a whole, in a directory with links to the project's folders,
// against a service as deploy/run starts it. bin/ replaces curl and stream-manager: addresses of the
// pages become those of the test. A command that needs API keys has $API_KEY in it.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Camera } from "../browser/support/camera.mjs";
import { Child } from "../browser/support/child.mjs";
import { Service } from "../browser/support/service.mjs";
import { blocks, pages, ROOT } from "./support/markdown.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const NOT_RUN = JSON.parse(readFileSync(join(HERE, "not-run.json"), "utf8"));
const API_KEY = "secret-of-the-pages-0001";
const BLOCK_SECONDS = 60;
/** The account and the paths that the pages give their cameras. */
const CAMERA = ["--user", "user", "--password", "password"].concat(
  ["stream1", "stream2", "Streaming/Channels/101", "Streaming/Channels/102"].flatMap((path) => ["--alias", `${path}=private`]),
);

const commands = pages().flatMap((page) => blocks(page).filter(({ language }) => language === "sh"));
const firstLine = ({ text }) => text.split("\n")[0];
const isListed = (block) => NOT_RUN.some(({ command }) => firstLine(block).startsWith(command));

test("every entry of not-run.json has a reason, and a block that begins with it", () => {
  for (const { command, reason } of NOT_RUN) {
    assert.ok(commands.some((block) => firstLine(block).startsWith(command)), `no block begins with: ${command}`);
    assert.ok(reason?.length > 10, `no reason: ${command}`);
  }
});

describe("commands", () => {
  let directory;
  let environment;
  const parts = [];

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "docs-test-"));
    // Not .env, whose settings are somebody's own.
    for (const entry of readdirSync(ROOT).filter((name) => !name.startsWith("."))) {
      symlinkSync(join(ROOT, entry), join(directory, entry));
    }
    // One after the other: the first one may have to install and to build.
    const start = async (part) => {
      parts.push(await part);
      return parts.at(-1);
    };
    const open = await start(Service.start());
    const locked = await start(Service.start({ API_KEYS: `shop:admin:${API_KEY}` }, ["--no-demo"]));
    const camera = await start(Camera.start(0, CAMERA));
    const onvifPort = await startOnvif(camera.port);
    const link = `rtsp://user:password@127.0.0.1:${camera.port}/stream1`;
    await open.put("front-door", { rtsp_link: link });
    await locked.put("front-door", { rtsp_link: link }, API_KEY);
    environment = {
      PATH: `${join(HERE, "bin")}:${process.env.PATH}`,
      HOME: directory,
      DOCS_TEST: HERE,
      REAL_CURL: execFileSync("sh", ["-c", "command -v curl"], { encoding: "utf8" }).trim(),
      MANAGER_BIN: process.env.MANAGER_BIN ?? join(ROOT, "target/release/stream-manager"),
      OPEN_ORIGIN: open.origin,
      OPEN_MANAGER: open.manager,
      LOCKED_ORIGIN: locked.origin,
      LOCKED_MANAGER: locked.manager,
      CAMERA_PORT: String(camera.port),
      ONVIF_PORT: onvifPort,
      API_KEY,
      SESSION_ID: await beginSession(locked),
    };
  });

  after(async () => {
    await Promise.all(parts.map((part) => part.end()));
    rmSync(directory, { recursive: true, force: true });
  });

  /** A device that reports the camera's streams; returns its port. */
  async function startOnvif(rtspPort) {
    const options = ["--rtsp-port", String(rtspPort), "--user", "user", "--password", "password"];
    const device = new Child(join(ROOT, "tests/camera/onvif.py"), options);
    parts.push(device);
    return (await device.waitForOutput(/"event":"ready","port":(\d+)/, BLOCK_SECONDS))[1];
  }

  async function beginSession(service) {
    const answer = await fetch(`${service.origin}/api/playback/sessions`, {
      method: "POST",
      headers: { Authorization: `Bearer ${API_KEY}` },
      body: JSON.stringify({ user: "anna", camera: "front-door" }),
    });
    return (await answer.json()).session_id;
  }

  for (const [index, block] of commands.filter((block) => !isListed(block)).entries()) {
    test(`${block.page}:${block.line}: ${firstLine(block)}`, async () => {
      const database = { DATABASE_URL: `sqlite:${join(directory, `${index}.db`)}` };
      const { code, output } = await run(block.text, directory, { ...environment, ...database });
      assert.equal(code, 0, output);
    });
  }
});

/** Runs a block as a person does in a shell that ends at the first error. */
function run(text, cwd, env) {
  return new Promise((resolve) => {
    const shell = spawn("bash", ["--norc", "-euo", "pipefail", "-c", text], { cwd, env, timeout: BLOCK_SECONDS * 1000 });
    let output = "";
    shell.stdin.end();
    for (const stream of [shell.stdout, shell.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk) => (output += chunk));
    }
    shell.on("close", (code, signal) => resolve({ code: code ?? signal, output }));
  });
}
