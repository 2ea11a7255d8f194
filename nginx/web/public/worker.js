// The page's service worker. It shows push notifications, and opens the page when the user clicks one of them. It answers
// no requests and caches nothing, so the page always comes from the server.
//
// The page registers the worker with its language in the address: worker.js?language=de. nginx serves this file as it is.

/** The service's texts are English. Texts of other languages, by language and type of event. */
const TEXTS = {
  de: {
    test: "Mitteilungen funktionieren",
    motion: "Etwas bewegt sich",
    "stream.started": "Der Stream startet",
    "stream.live": "Der Stream ist live",
    "stream.stalled": "Das Bild bleibt stehen",
    "stream.interrupted": "Der Stream ist unterbrochen",
    "stream.failed": "Der Stream konnte nicht starten",
    "stream.stopped": "Der Stream ist beendet",
    "camera.offline": "Die Kamera ist nicht erreichbar",
    "camera.online": "Die Kamera ist wieder erreichbar",
    "recording.started": "Die Aufzeichnung hat begonnen",
    "recording.interrupted": "Die Aufzeichnung ist unterbrochen",
    "recording.resumed": "Die Aufzeichnung wird fortgesetzt",
    "recording.stopped": "Die Aufzeichnung ist beendet",
    "storage.full": "Der Datenträger für Aufzeichnungen ist voll",
    "storage.failed": "Der Datenträger für Aufzeichnungen ist nicht nutzbar",
    "storage.slow": "Der Datenträger für Aufzeichnungen ist zu langsam",
    "storage.recovered": "Der Datenträger für Aufzeichnungen funktioniert wieder",
  },
};
const texts = TEXTS[new URL(self.location.href).searchParams.get("language")] ?? {};

/** The places of the page that a notification can open. */
const PLACE = /^#\/[^\s]*$/;
const NEWEST_EVENTS = "#/events";

// A new version of this file is used at once.
self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("push", (event) => event.waitUntil(show(read(event.data))));

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data));
});

/** Returns the content of a push message; an empty object if the content cannot be read. */
function read(data) {
  try {
    return Object(data.json());
  } catch {
    return {};
  }
}

/** Shows a notification. Browsers require one for each push message, so there is one even without content. */
function show({ type, title, body, at, url, tag }) {
  return self.registration.showNotification(title ?? "Stream manager", {
    body: translated(type, body),
    icon: "icon-192.png",
    badge: "icon-badge.png",
    // A notification with the same tag replaces the previous one, and alerts the user again.
    tag: tag ?? "event",
    renotify: true,
    timestamp: Date.parse(at) || Date.now(),
    data: PLACE.test(url) ? url : NEWEST_EVENTS,
  });
}

/** Returns the text of a notification in the language of the page. */
function translated(type, body = "") {
  const text = texts[type];
  if (!text) {
    return body;
  }
  // The text of a directory ends with its path.
  const [, path] = type.startsWith("storage.") ? body.split(/: (.*)/s) : [];
  return path ? `${text}: ${path}` : text;
}

/** Shows a place of the page: in a tab that is open, if there is one, because a new tab would need a key. */
async function open(place) {
  const scope = new URL(self.registration.scope);
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const pages = tabs.filter((tab) => new URL(tab.url).pathname === scope.pathname);
  const page = pages.find((tab) => tab.focused) ?? pages[0];
  if (page) {
    page.postMessage({ open: place });
    await page.focus();
  } else {
    await self.clients.openWindow(new URL(place, scope).href);
  }
}
