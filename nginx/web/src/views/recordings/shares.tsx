// Share links: create one for a selected time, list and revoke them.
import { useCallback, useState } from "preact/hooks";

import { useReading } from "../../api/reading";
import { createShare, listShares, removeShare } from "../../api/recordings";
import type { NewShare, Share } from "../../api/types";
import { timeText } from "../../playback/recordings/source";
import { copyText } from "../../ui/browser";
import { Field, Select } from "../../ui/fields";
import { dateTime, dateTimeSeconds, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Dialog } from "../../ui/parts";
import { ErrorAlert, report } from "../error";
import type { View } from "./scale";
import type { RecordedCamera } from "./session";
import { sharedAddress } from "./shared-address";

const DAY_SECONDS = 24 * 3600;
const LIFETIMES = [1, 7, 30, 90];
const LONGEST_LABEL = 200;

interface ShareDialogProps {
  camera: RecordedCamera;
  /** The time to share; null to list the links only. */
  selection: View | null;
  onClose: () => void;
}

export function ShareDialog({ camera: { id, name }, selection, onClose }: ShareDialogProps) {
  const read = useCallback(() => listShares(id), [id]);
  const { value: shares, error, again } = useReading(read);
  const [created, setCreated] = useState<string | null>(null);
  const revoke = async (share: Share) => {
    try {
      await removeShare(id, share.share_id);
      notify(t("recordings.revoked"));
    } catch (cause) {
      report(cause);
    }
    again();
  };
  return (
    <Dialog title={t("recordings.share_title", { name })} onClose={onClose}>
      {selection && (
        <ShareForm
          camera={id}
          selection={selection}
          onCreated={(share) => {
            setCreated(sharedAddress({ id, name }, share));
            again();
          }}
        />
      )}
      {created && <CreatedLink address={created} />}
      <h3>{t("recordings.links")}</h3>
      <ErrorAlert error={error} />
      {shares?.length === 0 && <p class="hint">{t("recordings.no_links")}</p>}
      <ul class="links">
        {shares?.map((share) => (
          <li key={share.share_id} class="row" data-share={share.share_id}>
            <div class="row-main">
              <strong>
                <bdi>{share.label}</bdi>
              </strong>
              <span class="quiet">
                {share.from &&
                  share.to &&
                  `${dateTimeSeconds(share.from)} – ${dateTimeSeconds(share.to)}`}
              </span>
              <span class="quiet">
                {t("recordings.link_until", { time: dateTime(share.expires_at) })}
                {share.last_seen &&
                  ` · ${t("recordings.link_used", { time: dateTime(share.last_seen) })}`}
              </span>
            </div>
            <button
              type="button"
              aria-label={t("recordings.revoke_label", { label: share.label })}
              onClick={() => void revoke(share)}
            >
              {t("recordings.revoke")}
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

interface ShareFormProps {
  camera: string;
  selection: View;
  onCreated: (share: NewShare) => void;
}

function ShareForm({ camera, selection, onCreated }: ShareFormProps) {
  const [label, setLabel] = useState("");
  const [days, setDays] = useState("7");
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [from, to] = [timeText(selection.from), timeText(selection.to)];
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      onCreated(await createShare(camera, { from, to }, label.trim(), Number(days) * DAY_SECONDS));
    } catch (cause) {
      setError(cause);
    }
    setBusy(false);
  };
  return (
    <form class="form" onSubmit={submit}>
      <p>{t("recordings.share_text", { from: dateTimeSeconds(from), to: dateTimeSeconds(to) })}</p>
      <div class="columns">
        <Field
          label={t("recordings.label")}
          name="label"
          value={label}
          maxLength={LONGEST_LABEL}
          placeholder={t("recordings.label_example")}
          onInput={setLabel}
          autofocus
        />
        <Select
          label={t("recordings.valid")}
          value={days}
          options={LIFETIMES.map((count): [string, string] => [
            String(count),
            t(`recordings.valid.${count as 1 | 7 | 30 | 90}`),
          ])}
          onChange={setDays}
        />
      </div>
      <ErrorAlert error={error} />
      <div class="actions">
        <button type="submit" class="primary" disabled={isBusy}>
          <Icon name="link" />
          {t("recordings.create_link")}
        </button>
      </div>
    </form>
  );
}

/** The address of a new link. The service does not return it again. */
function CreatedLink({ address }: { address: string }) {
  const copy = async () => {
    const isDone = await copyText(address);
    notify(isDone ? t("copied") : address, !isDone);
  };
  return (
    <div class="passed">
      <label class="field created-link">
        <span>{t("recordings.new_link")}</span>
        <input readOnly value={address} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <button type="button" class="primary" onClick={() => void copy()}>
        <Icon name="copy" />
        {t("recordings.copy")}
      </button>
    </div>
  );
}
