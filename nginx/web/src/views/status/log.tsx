// What FFmpeg said of a stream.
import { useEffect, useState } from "preact/hooks";

import { get, words } from "../../api/client";
import { streamKey } from "../../api/streams";
import type { LogLine, Stream } from "../../api/types";
import { copyText } from "../../ui/browser";
import { language, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { Alert, Dialog, tell } from "../../ui/parts";

export function Log({ stream, onClose }: { stream: Stream; onClose: () => void }) {
  const { indicator_id: id, profile } = stream;
  const name = streamKey(id, profile);
  const [lines, setLines] = useState<LogLine[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const read = () =>
    get<{ lines: LogLine[] }>(`streams/${id}/log?profile=${profile}`).then(
      (answer) => {
        setLines(answer.lines);
        setError(null);
      },
      (cause) => setError(words(cause)),
    );
  useEffect(() => void read(), [name]);
  const text = lines
    ?.map(({ at, text }) => `${new Date(at).toLocaleTimeString(language.value)}  ${text}`)
    .join("\n");
  const copy = async () => {
    if (text && (await copyText(text))) {
      tell(t("copied"));
    }
  };
  return (
    <Dialog title={t("log.title", { name })} onClose={onClose} class="broad">
      {error && <Alert>{error}</Alert>}
      {lines?.length === 0 && <p class="hint">{t("log.empty")}</p>}
      <pre class="log" tabIndex={0} aria-label={t("log.title", { name })}>
        {text}
      </pre>
      <div class="actions">
        <button type="button" onClick={() => void read()}>
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
