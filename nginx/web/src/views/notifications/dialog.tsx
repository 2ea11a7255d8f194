// The dialog with the push notifications of this browser: what they are about, when they are sent, and the subscriptions
// of other devices.
import { useCallback, useState } from "preact/hooks";

import { hasRole } from "../../api/caller";
import { listSubscriptions, readPushKey } from "../../api/push";
import { useReading } from "../../api/reading";
import type { PushKey, Subscription } from "../../api/types";
import { t } from "../../ui/i18n";
import { Alert, Dialog } from "../../ui/parts";
import { ErrorAlert } from "../error";
import { PreferencesForm } from "./form";
import { isOpen } from "./is-open";
import { callerName, known } from "./known";
import { Devices } from "./list";
import { obstacle } from "./obstacle";

const RETRY_MS = 5000;

/** What the dialog needs from the service. */
interface Read {
  key: PushKey;
  subscriptions: Subscription[];
}

async function readAll(): Promise<Read> {
  const [key, subscriptions] = await Promise.all([readPushKey(), listSubscriptions()]);
  return { key, subscriptions };
}

export function Notifications() {
  const { value, error, again } = useReading(readAll, { retry: RETRY_MS });
  const [isChanged, setChanged] = useState(false);
  const [hindrance, setHindrance] = useState(obstacle);
  const changed = useCallback(() => {
    setChanged(false);
    setHindrance(obstacle());
    again();
  }, [again]);
  const name = callerName() ?? "";
  const last = known();
  const own = value?.subscriptions.find(({ id }) => id === last?.id) ?? null;
  return (
    <Dialog
      title={t("push.title")}
      isChanged={isChanged}
      onClose={() => (isOpen.value = false)}
      class="push"
    >
      <p class="hint">{t("push.text")}</p>
      {hindrance && <Alert>{t(`push.obstacle.${hindrance}`)}</Alert>}
      <ErrorAlert error={error} />
      {value && !value.key.has_contact && hasRole("admin") && (
        <p class="hint">{t("push.no_contact")}</p>
      )}
      {last?.by && last.by !== name && <p class="hint">{t("push.other_key", { name: last.by })}</p>}
      {value && (!hindrance || own) && (
        <PreferencesForm
          // Shows what is saved after each change.
          key={own ? `${own.id} ${own.opened_at}` : ""}
          publicKey={value.key.public_key}
          own={own}
          caller={name}
          canSubscribe={!hindrance}
          onEdit={() => setChanged(true)}
          onChanged={changed}
        />
      )}
      {value && <Devices subscriptions={value.subscriptions} own={own} onChanged={changed} />}
    </Dialog>
  );
}
