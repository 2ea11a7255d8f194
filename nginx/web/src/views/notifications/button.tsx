// The button for the dialog with the push notifications of this browser, and what the page does for notifications while
// the dialog is closed.
import { useEffect } from "preact/hooks";

import { t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { Loaded, lazy } from "../../ui/lazy";
import { isOpen } from "./is-open";
import { callerName, known } from "./known";

const Notifications = lazy(() => import("./dialog").then((module) => module.Notifications));

/** When the user clicks a notification while the page is open, the service worker sends the place to show. */
function showClicked(event: MessageEvent): void {
  const { open } = Object(event.data);
  if (typeof open === "string" && open.startsWith("#/")) {
    location.hash = open;
  }
}

// Without a secure context, there is no service worker.
const workers: ServiceWorkerContainer | undefined = navigator.serviceWorker;
workers?.addEventListener("message", showClicked);
workers?.startMessages();

export function NotificationsButton() {
  const name = callerName();
  useEffect(() => {
    if (name !== null && known()) {
      // Without a connection, the next visit is another attempt.
      void import("./registration").then(({ keepAlive }) => keepAlive(name)).catch(() => undefined);
    }
  }, [name]);
  return name === null ? null : (
    <IconButton icon="ringing" label={t("push.title")} onClick={() => (isOpen.value = true)} />
  );
}

/** The dialog that the button opens. It is a part of the content, because the header of the page is a landmark. */
export function NotificationsDialog() {
  return isOpen.value && callerName() !== null ? <Loaded of={Notifications} /> : null;
}
