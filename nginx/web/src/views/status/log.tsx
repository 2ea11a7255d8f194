// The dialog with the FFmpeg log of a stream.
import { useCallback } from "preact/hooks";

import { get } from "../../api/client";
import { nameOf } from "../../api/names";
import { useReading } from "../../api/reading";
import type { LogLine, LogLines, Stream } from "../../api/types";
import { copyText } from "../../ui/browser";
import { clock, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Dialog } from "../../ui/parts";
import { ScrollBox } from "../../ui/scroll-box";
import { ErrorAlert } from "../error";

function format({ at, text }: LogLine): string {
  return `${clock(Date.parse(at))}  ${text}`;
}

export function Log({ stream, onClose }: { stream: Stream; onClose: () => void }) {
  const { indicator_id: id, profile } = stream;
  const name = profile === "sub" ? `${nameOf(id)}, ${t("status.sub")}` : nameOf(id);
  const read = useCallback(
    () => get<LogLines>(`streams/${id}/log?profile=${profile}`),
    [id, profile],
  );
  const { value, error, again } = useReading(read);
  const text = value?.lines.map(format).join("\n");
  const copy = async () => {
    if (text && (await copyText(text))) {
      notify(t("copied"));
    }
  };
  return (
    <Dialog title={t("log.title", { name })} onClose={onClose} class="broad">
      <ErrorAlert error={error} />
      {value?.lines.length === 0 && <p class="hint">{t("log.empty")}</p>}
      <ScrollBox class="log" label={t("log.title", { name })}>
        <pre>{text}</pre>
      </ScrollBox>
      <div class="actions">
        <button type="button" onClick={again}>
          <Icon name="refresh" />
          {t("log.again")}
        </button>
        <button type="button" disabled={!text} onClick={() => void copy()}>
          <Icon name="copy" />
          {t("log.copy")}
        </button>
      </div>
    </Dialog>
  );
}
