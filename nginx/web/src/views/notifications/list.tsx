// The subscriptions that the caller can see: those of its API key, or all for an admin.
import { useState } from "preact/hooks";

import { removeSubscription, testSubscription } from "../../api/push";
import type { Subscription } from "../../api/types";
import { dateTime, t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Pager } from "../../ui/parts";
import { report } from "../error";
import { typeText } from "../events/texts";
import { turnOff } from "./registration";

const PAGE = 10;

interface DevicesProps {
  subscriptions: Subscription[];
  /** The subscription of this browser; null if the browser has not subscribed. */
  own: Subscription | null;
  onChanged: () => void;
}

export function Devices({ subscriptions, own, onChanged }: DevicesProps) {
  const [page, setPage] = useState(0);
  const [testing, setTesting] = useState<string | null>(null);
  const others = subscriptions.filter((each) => each !== own);
  const all = own ? [own, ...others] : others;
  const pages = Math.ceil(all.length / PAGE);
  const first = Math.min(page, Math.max(0, pages - 1)) * PAGE;
  if (all.length === 0) {
    return null;
  }
  const test = async (to: Subscription) => {
    setTesting(to.id);
    try {
      await testSubscription(to.id);
      notify(t("push.tested"));
    } catch (cause) {
      report(cause);
      // The push server may have ended the subscription.
      onChanged();
    }
    setTesting(null);
  };
  const end = async (subscription: Subscription) => {
    try {
      await removeSubscription(subscription.id);
      if (subscription === own) {
        await turnOff();
      }
      notify(t("push.turned_off"));
    } catch (cause) {
      report(cause);
    }
    onChanged();
  };
  return (
    <section aria-labelledby="push-devices">
      <h3 id="push-devices">{t("push.devices")}</h3>
      <ul class="list">
        {all.slice(first, first + PAGE).map((each) => (
          <li key={each.id} class="row push-device" data-subscription={each.id}>
            <div class="row-main">
              <strong>
                <bdi>{each.label || each.server}</bdi>
                {each === own && <small class="quiet"> ({t("push.this_device")})</small>}
              </strong>
              <span class="quiet">{each.types.map(typeText).join(", ")}</span>
              <span class="quiet">
                {t("push.made_by", { name: each.user ?? each.made_by })} ·{" "}
                {t("push.until", { time: dateTime(each.expires_at) })}
              </span>
            </div>
            <div class="row-actions">
              <button
                type="button"
                disabled={testing !== null}
                aria-label={t("push.test_label", { name: each.label || each.server })}
                onClick={() => void test(each)}
              >
                {t("push.test")}
              </button>
              <IconButton
                icon="trash"
                label={t("push.end_label", { name: each.label || each.server })}
                onClick={() => void end(each)}
              />
            </div>
          </li>
        ))}
      </ul>
      <Pager page={first / PAGE} pages={pages} onPage={setPage} />
    </section>
  );
}
