// Tests the page over HTTPS, with the manager's certificate and with a certificate of the operator. Also tests the
// page over HTTP at an address that browsers do not trust. At such an address, browsers offer fewer programming
// interfaces.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect } from "node:tls";

import { recordedFrames, recordFrames } from "./support/frames.mjs";
import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

const UNTRUSTED = { ignoreHTTPSErrors: true };

/** Resolves to the certificate that the server at an address presents on a new connection. */
function certificateOf(origin) {
  const { hostname: host, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate());
      socket.end();
    });
    socket.on("error", reject);
  });
}

/** Resolves to the headers of the page. */
function headersOf(origin) {
  return new Promise((resolve, reject) => {
    get(origin, { rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.headers);
    }).on("error", reject);
  });
}

describe("the page over HTTPS with the manager's certificate", () => {
  const on = stage({ TLS: "self-signed", TLS_NAMES: "localhost cameras.lan 192.168.1.10" });

  test("plays over HTTP/2 only, and redirects from HTTP", async (t) => {
    const { origin, page: address } = on.service;
    assert.match(address, /^https:/);
    const viewer = await on.visit(t, address, UNTRUSTED);
    await viewer.sees("live");
    await viewer.watches(2);
    const protocols = await viewer.page.evaluate(() =>
      performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol),
    );
    assert.deepEqual([...new Set(protocols.filter(Boolean))], ["h2"]);
    assert.deepEqual(viewer.problems, []);

    const { subjectaltname: names } = await certificateOf(origin);
    assert.equal(names, "DNS:localhost, DNS:cameras.lan, IP Address:192.168.1.10");
    const plain = origin.replace("https:", "http:");
    const response = await fetch(`${plain}/?id=demo`, { redirect: "manual" });
    assert.equal(response.status, 308);
    assert.equal(response.headers.get("location"), `${origin}/?id=demo`);
    assert.equal((await headersOf(origin))["strict-transport-security"], undefined);
  });
});

describe("the page over HTTPS with a certificate of the operator", () => {
  const directory = mkdtempSync(join(tmpdir(), "browser-test-"));
  const path = (name) => join(directory, name);
  after(() => rmSync(directory, { recursive: true, force: true }));

  function makeCertificate(certificate, key) {
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const output = ["-days", "2", "-nodes", "-keyout", key, "-out", certificate];
    const command = ["req", "-x509", "-newkey", "rsa:2048", ...subject, ...output];
    execFileSync("openssl", command, { stdio: "ignore" });
  }
  before(() => makeCertificate(path("cert.pem"), path("key.pem")));
  const on = stage({ TLS_CERT: path("cert.pem"), TLS_KEY: path("key.pem"), HSTS_SECONDS: "60" });

  test("continues to play without an interruption when the certificate is renewed", async (t) => {
    const { origin, page: address } = on.service;
    assert.equal((await headersOf(origin))["strict-transport-security"], "max-age=60");
    const viewer = await on.visit(t, address, { ...UNTRUSTED, transport: "hls" });
    await viewer.sees("live");
    await viewer.watches(3);
    await recordFrames(viewer.page);
    const { fingerprint256: first } = await certificateOf(origin);
    makeCertificate(path("next-cert.pem"), path("next-key.pem"));
    renameSync(path("next-key.pem"), path("key.pem"));
    renameSync(path("next-cert.pem"), path("cert.pem"));
    const isRenewed = async () => (await certificateOf(origin)).fingerprint256 !== first;
    await until("nginx uses the renewed certificate", SECONDS, isRenewed);
    // The processes of nginx that have the previous certificate end as soon as their requests are complete.
    await viewer.watches(6);
    assert.deepEqual((await recordedFrames(viewer.page)).freezes, []);
    assert.equal((await viewer.describe()).state, "live");
    assert.deepEqual(viewer.problems, []);
  });
});

describe("the page over HTTP at an address that browsers do not trust", () => {
  const on = stage({ ALLOW_ANONYMOUS: "" });
  let browser;
  // Browsers trust localhost and all loopback addresses, so the test uses another name.
  before(async () => {
    browser = await launchBrowser(["--host-resolver-rules=MAP cam.test 127.0.0.1"]);
  });
  after(() => browser?.close());

  test("signs in, plays, copies a link and adds a camera", async (t) => {
    const address = on.service.page.replace("//localhost:", "//cam.test:");
    const viewer = await Viewer.openFor(t, browser, address);
    const { page } = viewer;
    await viewer.sees("live");
    await viewer.watches(3);
    assert.equal(await page.evaluate(() => globalThis.isSecureContext), false);
    // Browsers have WebCodecs only in secure contexts.
    await until("MSE", SECONDS, async () => (await viewer.transport()) === "mse");
    await page.getByRole("button", { name: "Copy link to this wall" }).click();
    await page.locator(".notice p").filter({ hasText: "Link to this wall copied" }).waitFor();
    await viewer.add("Second", on.service.demoLink);
    await viewer.sees("live", "Second");
    for (const name of ["Cameras", "Status"]) {
      await page.getByRole("link", { name, exact: true }).click();
      await page.getByRole("main").getByText("Second").first().waitFor();
    }
    assert.deepEqual(viewer.problems, []);
  });
});
