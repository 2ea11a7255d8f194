// The form with which the user turns notifications on for this browser, changes what they are about, and turns them off.
import { useState } from "preact/hooks";

import { type Preferences, preferencesOf, removeSubscription } from "../../api/push";
import type { ScheduleEntry, Subscription } from "../../api/types";
import { Field } from "../../ui/fields";
import { t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { ErrorAlert } from "../error";
import { ownTimeZone, Schedule } from "../schedule";
import { CameraChoice } from "./cameras";
import { USUAL_TYPES } from "./choice";
import { deviceName } from "./device";
import { turnOff, turnOn } from "./registration";
import { TypeChoice } from "./types";

const NIGHT: ScheduleEntry = { days: [], from: "22:00", to: "07:00" };
const LONGEST_LABEL = 100;
const MAX_PER_MINUTE = 60;

interface PreferencesFormProps {
  publicKey: string;
  /** The subscription of this browser; null if the browser has not subscribed. */
  own: Subscription | null;
  /** The name of the API key. */
  caller: string;
  /** Whether this browser can subscribe. If it cannot, the user can only turn the notifications off. */
  canSubscribe: boolean;
  onEdit: () => void;
  onChanged: () => void;
}

function newPreferences(): Preferences {
  return {
    cameras: [],
    label: deviceName(navigator.userAgent),
    per_minute: 1,
    quiet_hours: [],
    time_zone: ownTimeZone(),
    types: USUAL_TYPES,
  };
}

export function PreferencesForm({
  publicKey,
  own,
  caller,
  canSubscribe,
  onEdit,
  onChanged,
}: PreferencesFormProps) {
  const [value, setValue] = useState(() => (own ? preferencesOf(own) : newPreferences()));
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const change = (part: Partial<Preferences>) => {
    setValue((before) => ({ ...before, ...part }));
    onEdit();
  };
  const attempt = async (action: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    try {
      await action();
    } catch (cause) {
      setError(cause);
    }
    setBusy(false);
  };
  const save = (event: Event) => {
    event.preventDefault();
    void attempt(async () => {
      await turnOn(publicKey, value, caller);
      notify(t(own ? "push.saved" : "push.turned_on"));
      onChanged();
    });
  };
  const end = ({ id }: Subscription) =>
    attempt(async () => {
      await removeSubscription(id);
      await turnOff();
      notify(t("push.turned_off"));
      onChanged();
    });
  return (
    <form class="form" onSubmit={save}>
      <TypeChoice chosen={value.types} onChange={(types) => change({ types })} />
      <CameraChoice chosen={value.cameras} onChange={(cameras) => change({ cameras })} />
      <fieldset class="part">
        <legend>{t("push.when")}</legend>
        <label class="check">
          <input
            type="checkbox"
            name="quiet"
            checked={value.quiet_hours.length > 0}
            onChange={(event) =>
              change({ quiet_hours: event.currentTarget.checked ? [NIGHT] : [] })
            }
          />
          {t("push.quiet")}
        </label>
        {value.quiet_hours.length > 0 && (
          <Schedule
            entries={value.quiet_hours}
            newEntry={NIGHT}
            timeZone={value.time_zone}
            onEntries={(entries) => change({ quiet_hours: entries })}
            onTimeZone={(zone) => change({ time_zone: zone })}
          />
        )}
        <div class="columns">
          <Field
            label={t("push.per_minute")}
            name="per_minute"
            type="number"
            required
            min={1}
            max={MAX_PER_MINUTE}
            value={String(value.per_minute)}
            onInput={(text) => change({ per_minute: Number(text) })}
          />
          <Field
            label={t("push.label")}
            name="label"
            value={value.label ?? ""}
            maxLength={LONGEST_LABEL}
            onInput={(text) => change({ label: text || null })}
          />
        </div>
      </fieldset>
      <ErrorAlert error={error} />
      <div class="actions">
        {own && (
          <button type="button" disabled={isBusy} onClick={() => void end(own)}>
            {t("push.turn_off")}
          </button>
        )}
        {canSubscribe && (
          <button type="submit" class="primary" disabled={isBusy || value.types.length === 0}>
            <Icon name="ringing" />
            {t(own ? "push.save" : "push.turn_on")}
          </button>
        )}
      </div>
    </form>
  );
}
