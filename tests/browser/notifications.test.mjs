// Tests push notifications on the page: the dialog, the service worker, clicks, and what the page says if a browser cannot
// show notifications. The push server of Chromium cannot be reached by tests, so another one takes its place, and the browser
// gets the messages over its debugging protocol.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { PushServer } from "./support/push-server.mjs";
import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

const AWAY = "rtsp://127.0.0.1:9/x";
const PERMITTED = { permissions: ["notifications"] };

/** Runs in the page: replaces the push service of the browser. The browser then has this subscription. */
function pretendPushService(fields) {
  const stored = () => localStorage.getItem("pretended");
  const subscription = (key) => ({
    endpoint: fields.endpoint,
    options: { applicationServerKey: Uint8Array.from(JSON.parse(key)).buffer },
    toJSON: () => ({ ...fields, expirationTime: null }),
    unsubscribe: () => {
      localStorage.removeItem("pretended");
      return Promise.resolve(true);
    },
  });
  PushManager.prototype.getSubscription = () => Promise.resolve(stored() && subscription(stored()));
  PushManager.prototype.subscribe = ({ applicationServerKey: key, userVisibleOnly }) => {
    if (!userVisibleOnly || key.length !== 65) {
      return Promise.reject(new TypeError("not a key"));
    }
    localStorage.setItem("pretended", JSON.stringify([...key]));
    return Promise.resolve(subscription(stored()));
  };
}

const openDialog = (viewer) =>
  viewer.page.getByRole("button", { name: "Notifications on this device" }).click();
const dialog = (viewer) => viewer.page.locator("dialog.push");
const button = (viewer, name) => dialog(viewer).getByRole("button", { name, exact: true });

describe("notifications", async () => {
  const server = await PushServer.start();
  const on = stage(server.settings);

  /** Opens the page in a browser with a push service. */
  async function visit(t, address = "#/status", options = {}) {
    const viewer = await on.visit(t, address, { ...PERMITTED, ...options });
    await viewer.page.addInitScript(pretendPushService, server.subscription);
    await viewer.page.reload();
    return viewer;
  }

  const subscriptions = async () => (await on.service.get("push/subscriptions")).subscriptions;

  /** Passes a message on to the service worker of the page, as the browser's push service does. */
  async function deliver(viewer, content) {
    const session = await viewer.page.context().newCDPSession(viewer.page);
    const registered = new Promise((resolve) =>
      session.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
        const found = registrations.find(({ scopeURL }) => scopeURL.startsWith(on.service.origin));
        if (found) {
          resolve(found);
        }
      }),
    );
    await session.send("ServiceWorker.enable");
    const { registrationId } = await registered;
    const { origin } = on.service;
    const data = JSON.stringify(content);
    await session.send("ServiceWorker.deliverPushMessage", { origin, registrationId, data });
    await session.detach();
  }

  /** Returns the notifications that the browser shows. */
  const shown = (viewer) =>
    viewer.page.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready;
      const notifications = await registration.getNotifications();
      return notifications.map(({ title, body, tag, data, icon }) => ({
        title,
        body,
        tag,
        data,
        icon,
      }));
    });

  test("are turned on, tested, changed and turned off", async (t) => {
    await on.service.put("gate", { name: "Gate <b>", rtsp_link: AWAY });
    await on.service.put("yard", { name: "Yard", rtsp_link: AWAY });
    const viewer = await visit(t);
    await openDialog(viewer);
    await dialog(viewer).getByLabel("Reported by a back end").waitFor();
    assert.ok(await dialog(viewer).getByLabel("Reported by a back end").isChecked());
    await button(viewer, "Select cameras").click();
    await viewer.page.getByRole("checkbox", { name: /^Gate <b>/ }).check();
    await viewer.page.getByRole("button", { name: "Show selected (1)" }).click();
    await button(viewer, "Turn on").click();
    await viewer.page.getByText("Notifications are turned on").first().waitFor();
    const [created] = await subscriptions();
    assert.deepEqual(created.cameras, ["gate"]);
    assert.ok(created.types.includes("motion") && created.types.includes("reported"));
    assert.match(created.label, /Chrome, Linux/);

    await button(viewer, "Send a test notification: Chrome, Linux").click();
    assert.equal((await server.receives(1)).type, "test");
    await viewer.page.getByText("The push server has accepted").first().waitFor();

    // Only the chosen camera.
    await on.service.report("yard", { type: "door", label: "Yard opened" });
    await on.service.report("gate", { type: "door", label: "Gate opened" });
    const content = await server.receives(2);
    assert.deepEqual(
      [content.title, content.body, content.camera],
      ["Gate <b>", "Gate opened", "gate"],
    );

    await dialog(viewer).getByLabel("No notifications at certain times").check();
    await dialog(viewer).getByLabel("Reported by a back end").uncheck();
    await dialog(viewer).getByLabel("Name of this device").fill("Tablet");
    await button(viewer, "Save").click();
    await viewer.page.getByText("The notifications were changed").first().waitFor();
    const [changed] = await subscriptions();
    assert.equal(changed.id, created.id);
    assert.deepEqual(changed.quiet_hours, [{ days: [], from: "22:00", to: "07:00" }]);
    assert.ok(!changed.types.includes("reported") && changed.label === "Tablet");
    assert.ok(changed.time_zone);

    // The choice is there after the page was loaded again.
    await viewer.page.reload();
    await openDialog(viewer);
    await dialog(viewer).getByText("Tablet (this device)").waitFor();
    assert.ok(!(await dialog(viewer).getByLabel("Reported by a back end").isChecked()));
    await button(viewer, "Turn off").click();
    await viewer.page.getByText("Notifications are turned off").first().waitFor();
    assert.deepEqual(await subscriptions(), []);
    await button(viewer, "Turn on").waitFor();
    assert.deepEqual(viewer.problems, []);
  });

  test("are shown by the service worker, and a click opens the recorded second", async (t) => {
    await on.service.put("gate", { name: "Gate", rtsp_link: AWAY });
    const viewer = await visit(t, "#/status", { locale: "de-DE" });
    await viewer.page.getByRole("button", { name: "Mitteilungen auf diesem Gerät" }).click();
    await button(viewer, "Einschalten").click();
    await viewer.page.getByText("Mitteilungen sind eingeschaltet").first().waitFor();
    await button(viewer, "Schließen").click();
    const at = "2026-11-21T10:00:00.250Z";
    const url = `#/recordings?cameras=gate&at=${at}`;
    const content = { type: "motion", title: "Gate", body: "Something moves", tag: "gate motion" };
    await deliver(viewer, { ...content, at, camera: "gate", url });
    const [notification] = await until("a notification", SECONDS, async () => {
      const all = await shown(viewer);
      return all.length > 0 && all;
    });
    assert.deepEqual(
      [notification.title, notification.body, notification.tag, notification.data],
      ["Gate", "Etwas bewegt sich", "gate motion", url],
    );
    assert.equal(notification.icon, new URL("icon-192.png", on.service.origin).href);

    const [worker] = viewer.page.context().serviceWorkers();
    await worker.evaluate(async () => {
      const [clicked] = await self.registration.getNotifications();
      self.dispatchEvent(
        new self.NotificationEvent("notificationclick", { notification: clicked }),
      );
    });
    await viewer.page.waitForURL((address) => address.hash.startsWith("#/recordings"));
    assert.ok(decodeURIComponent(viewer.page.url()).includes(at), viewer.page.url());
    await until("the notification is closed", SECONDS, async () => {
      return (await shown(viewer)).length === 0;
    });
    assert.deepEqual(viewer.problems, []);
  });

  test("end with the browser's subscription, and follow its changes", async (t) => {
    const viewer = await visit(t);
    await openDialog(viewer);
    await button(viewer, "Turn on").click();
    await viewer.page.getByText("Notifications are turned on").first().waitFor();
    const [first] = await subscriptions();
    // The browser has another address at its push server.
    const { endpoint, keys } = server.subscription;
    const moved = { endpoint: endpoint.replace("/1", "/2"), keys };
    await viewer.page.addInitScript(pretendPushService, moved);
    await viewer.page.reload();
    await until("the subscription was replaced", SECONDS, async () => {
      const all = await subscriptions();
      return all.length === 1 && all[0].id !== first.id;
    });
    // The user has withdrawn the permission.
    await viewer.page.evaluate(() => localStorage.removeItem("pretended"));
    await viewer.page.reload();
    await until("the subscription has ended", SECONDS, async () => {
      return (await subscriptions()).length === 0;
    });
    assert.deepEqual(viewer.problems, []);
  });

  test("fail with a reason if the browser's push server cannot be reached", async (t) => {
    const viewer = await on.visit(t, "", PERMITTED);
    await openDialog(viewer);
    await button(viewer, "Turn on").click();
    await dialog(viewer).getByText("could not register with its push server").waitFor();
    assert.deepEqual(await subscriptions(), []);
  });

  test("say what is missing", async (t) => {
    const blocked = await on.visit(t);
    await blocked.page.addInitScript(() =>
      Object.defineProperty(Notification, "permission", { get: () => "denied" }),
    );
    await blocked.page.reload();
    await openDialog(blocked);
    await dialog(blocked).getByText("are blocked in the browser").waitFor();
    assert.equal(await button(blocked, "Turn on").count(), 0);

    const iphone = await on.visit(t, "", {
      userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
    });
    await iphone.page.addInitScript(() => delete globalThis.PushManager);
    await iphone.page.reload();
    await openDialog(iphone);
    await dialog(iphone).getByText("Add to Home Screen").waitFor();
  });
});

describe("notifications with a certificate that the browser does not trust", () => {
  const on = stage({ TLS: "self-signed", TLS_NAMES: "localhost" });

  test("fail with a reason", async (t) => {
    const viewer = await on.visit(t, "", { ...PERMITTED, ignoreHTTPSErrors: true });
    await openDialog(viewer);
    await button(viewer, "Turn on").click();
    await dialog(viewer).getByText("does not trust the certificate").waitFor();
  });
});

describe("notifications without a secure context", () => {
  const on = stage({ ALLOW_ANONYMOUS: "" });
  let browser;
  // Browsers trust localhost and all loopback addresses, so the test uses another name.
  before(async () => {
    browser = await launchBrowser(["--host-resolver-rules=MAP cam.test 127.0.0.1"]);
  });
  after(() => browser?.close());

  test("are not offered", async (t) => {
    const address = on.service.page.replace("//localhost:", "//cam.test:");
    const viewer = await Viewer.openFor(t, browser, address);
    await openDialog(viewer);
    await dialog(viewer).getByText("only on pages that were opened over HTTPS").waitFor();
    assert.equal(await button(viewer, "Turn on").count(), 0);
    assert.deepEqual(viewer.problems, []);
  });
});
