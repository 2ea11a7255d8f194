// Runs every `sh` block of the pages, except those that not-run.json lists with a reason.
//
// Each block runs as one script, in a directory with links to the project's files and folders. deploy/run
// starts the services. The wrappers in bin/ replace the addresses of the pages by addresses of the test
// services, and run curl and stream-manager. A curl command that contains the key uses the service with API
// keys. All other curl commands use the service without API keys, which has ALLOW_ANONYMOUS=true.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
/** Options that give the test camera the account and the paths of the cameras in the pages. */
const CAMERA_OPTIONS = ["--user", "user", "--password", "password"].concat(
  ["stream1", "stream2", "Streaming/Channels/101", "Streaming/Channels/102"].flatMap((path) => ["--alias", `${path}=private`]),
);

const commands = pages().flatMap((page) => blocks(page).filter(({ language }) => language === "sh"));
const firstLine = ({ text }) => text.split("\n")[0];
const isNotRun = (block) => NOT_RUN.some(({ command }) => firstLine(block).startsWith(command));

test("every entry of not-run.json has a reason, and is the beginning of a block in a page", () => {
  for (const { command, reason } of NOT_RUN) {
    assert.ok(commands.some((block) => firstLine(block).startsWith(command)), `not-run.json: no block begins with ${command}`);
    assert.ok(reason?.length > 10, `not-run.json: the reason for ${command} is missing or too short`);
  }
});

describe("commands", () => {
  let directory;
  let environment;
  const parts = [];

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "docs-test-"));
    // Skip dotfiles, such as .env with its settings, and the files of the developer's own service.
    for (const entry of readdirSync(ROOT).filter((name) => !/^(\.|streams)/.test(name))) {
      symlinkSync(join(ROOT, entry), join(directory, entry));
    }
    // The key that the manager creates at its first start.
    writeFileSync(join(directory, "streams.db.admin-key"), `${API_KEY}\n`);
    // The parts start one after the other, because the first start can install packages and build.
    const start = async (part) => {
      parts.push(await part);
      return parts.at(-1);
    };
    const serviceWithoutKeys = await start(Service.start({ RECORDINGS_DIRS: join(directory, "recordings") }));
    const serviceWithKeys = await start(Service.start(
      { API_KEYS: `shop:admin:${API_KEY}`, RECORDINGS_DIRS: join(directory, "recordings-2") },
      ["--no-demo"],
    ));
    const camera = await start(Camera.start(0, CAMERA_OPTIONS));
    const onvifPort = await startOnvif(camera.port);
    const link = `rtsp://user:password@127.0.0.1:${camera.port}/stream1`;
    await serviceWithoutKeys.put("front-door", { rtsp_link: link });
    await serviceWithKeys.put("front-door", { rtsp_link: link }, API_KEY);
    environment = {
      PATH: `${join(HERE, "bin")}:${process.env.PATH}`,
      HOME: directory,
      DOCS_TEST: HERE,
      REAL_CURL: execFileSync("sh", ["-c", "command -v curl"], { encoding: "utf8" }).trim(),
      MANAGER_BIN: process.env.MANAGER_BIN ?? join(ROOT, "target/release/stream-manager"),
      ORIGIN_WITHOUT_KEYS: serviceWithoutKeys.origin,
      MANAGER_WITHOUT_KEYS: serviceWithoutKeys.manager,
      ORIGIN_WITH_KEYS: serviceWithKeys.origin,
      MANAGER_WITH_KEYS: serviceWithKeys.manager,
      CAMERA_PORT: String(camera.port),
      ONVIF_PORT: onvifPort,
      API_KEY,
      SESSION_ID: await createSession(serviceWithKeys),
      SHARE_ID: await createShare(serviceWithKeys),
    };
  });

  after(async () => {
    await Promise.all(parts.map((part) => part.end()));
    rmSync(directory, { recursive: true, force: true });
  });

  /** Starts an ONVIF device whose links lead to the camera; returns the device's port. */
  async function startOnvif(rtspPort) {
    const options = ["--rtsp-port", String(rtspPort), "--user", "user", "--password", "password"];
    const device = new Child(join(ROOT, "tests/camera/onvif.py"), options);
    parts.push(device);
    return (await device.waitForOutput(/"event":"ready","port":(\d+)/, BLOCK_SECONDS))[1];
  }

  /** Creates a playback session; returns its id. */
  async function createSession(service) {
    const response = await fetch(`${service.origin}/api/playback/sessions`, {
      method: "POST",
      headers: { Authorization: `Bearer ${API_KEY}` },
      body: JSON.stringify({ user: "anna", camera: "front-door" }),
    });
    return (await response.json()).session_id;
  }

  /** Creates a share link; returns its id. */
  async function createShare(service) {
    const response = await fetch(`${service.origin}/api/recordings/front-door/shares`, {
      method: "POST",
      headers: { Authorization: `Bearer ${API_KEY}`, "Content-Type": "application/json" },
      body: JSON.stringify({ from: "2026-02-03T04:00:00Z", to: "2026-02-03T04:10:00Z" }),
    });
    return (await response.json()).share_id;
  }

  for (const [index, block] of commands.filter((block) => !isNotRun(block)).entries()) {
    test(`${block.page}:${block.line}: ${firstLine(block)}`, async () => {
      const database = { DATABASE_URL: `sqlite:${join(directory, `${index}.db`)}` };
      const { code, output } = await run(block.text, directory, { ...environment, ...database });
      assert.equal(code, 0, output);
    });
  }
});

/** Runs a block in a shell that exits at the first error. Returns the exit code or signal, and the output. */
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
