// What can be done with a selected time: export, share, protect, delete.
import { useEffect, useState } from "preact/hooks";

import { hasRole } from "../../api/caller";
import { deleteRecordings, lockRecordings } from "../../api/recordings";
import { timeText } from "../../playback/recordings/source";
import { Select } from "../../ui/fields";
import { bytes, duration, plural, t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Confirm } from "../../ui/parts";
import { ErrorAlert, report } from "../error";
import { localText } from "./days";
import { Digest, type ExportHead, readExportHead } from "./export";
import type { Footage } from "./footage";
import { gapsIn } from "./gaps";
import { lengthOf, type View } from "./scale";
import type { Session } from "./session";
import { ShareDialog } from "./shares";

interface SelectionProps {
  session: Session;
  selection: View;
  limit: View | null;
  footage: ReadonlyMap<string, Footage> | null;
  onSelect: (selection: View) => void;
  /** Called after the recordings were changed. */
  onChanged: () => void;
  onClose: () => void;
}

export function Selection(props: SelectionProps) {
  const { session, selection, limit, footage, onSelect, onChanged, onClose } = props;
  const { cameras, streams } = session;
  const [index, setIndex] = useState(0);
  const [dialog, setDialog] = useState<"share" | "delete" | null>(null);
  const [isBusy, setBusy] = useState(false);
  const camera = cameras[index] ?? cameras[0];
  // Exports have the best picture.
  const stream = camera?.streams.main ?? camera?.streams.sub ?? "";
  const spans = footage?.get(streams[index] ?? "")?.spans ?? null;
  const span = { from: timeText(selection.from), to: timeText(selection.to) };
  const isLocked = spans?.some(
    ({ from, to, isLocked: locked }) => locked && overlaps({ from, to }, selection),
  );
  const isOwn = !limit;
  const canManage = isOwn && hasRole("user");
  if (!camera) {
    return null;
  }
  const run = async (action: () => Promise<void>, done: string) => {
    setBusy(true);
    try {
      await action();
      notify(done);
      onChanged();
    } catch (error) {
      report(error);
    }
    setBusy(false);
  };
  const setEdge = (edge: "from" | "to", text: string) => {
    const date = new Date(text).getTime();
    const next = { ...selection, [edge]: date };
    if (date && next.from < next.to) {
      onSelect(next);
    }
  };
  return (
    <section class="card selection" aria-label={t("recordings.selection")}>
      <div class="bar">
        <h2>{t("recordings.selection")}</h2>
        <span class="quiet">
          {duration(lengthOf(selection) / 1000)}
          {spans && <Gaps spans={spans} selection={selection} />}
        </span>
        <span class="gap" />
        <IconButton icon="close" label={t("close")} onClick={onClose} />
      </div>
      <div class="columns">
        {cameras.length > 1 && (
          <Select
            label={t("events.camera")}
            value={String(index)}
            options={cameras.map(({ name }, n): [string, string] => [String(n), name])}
            onChange={(value) => setIndex(Number(value))}
          />
        )}
        {(["from", "to"] as const).map((edge) => (
          <label class="field" key={edge}>
            <span>{t(`events.${edge}`)}</span>
            <input
              type="datetime-local"
              step={1}
              value={localText(selection[edge])}
              onChange={(event) => setEdge(edge, event.currentTarget.value)}
            />
          </label>
        ))}
      </div>
      <div class="actions">
        {canManage && (
          <button
            type="button"
            disabled={isBusy}
            onClick={() =>
              run(
                () => lockRecordings(camera.id, span, !isLocked),
                t(isLocked ? "recordings.unlocked" : "recordings.locked"),
              )
            }
          >
            <Icon name="lock" />
            {t(isLocked ? "recordings.unlock" : "recordings.lock")}
          </button>
        )}
        {canManage && (
          <button type="button" disabled={isBusy} onClick={() => setDialog("delete")}>
            <Icon name="trash" />
            {t("delete")}
          </button>
        )}
        {isOwn && (
          <button type="button" onClick={() => setDialog("share")}>
            <Icon name="link" />
            {t("recordings.share")}
          </button>
        )}
        <Export session={session} stream={stream} selection={selection} isOwn={isOwn} />
      </div>
      {dialog === "share" && (
        <ShareDialog camera={camera} selection={selection} onClose={() => setDialog(null)} />
      )}
      {dialog === "delete" && (
        <Confirm
          title={t("recordings.delete_title", { name: camera.name })}
          text={t("recordings.delete_text", {
            from: localText(selection.from).replace("T", " "),
            to: localText(selection.to).replace("T", " "),
          })}
          action={t("delete")}
          onClose={() => setDialog(null)}
          onConfirm={() => {
            setDialog(null);
            void run(() => deleteRecordings(camera.id, span), t("recordings.deleted"));
          }}
        />
      )}
    </section>
  );
}

function overlaps(a: View, b: View): boolean {
  return a.from < b.to && b.from < a.to;
}

function Gaps({ spans, selection }: { spans: Footage["spans"]; selection: View }) {
  const gaps = gapsIn(spans, selection);
  const total = gaps.reduce((sum, gap) => sum + lengthOf(gap), 0) / 1000;
  if (total < 1) {
    return null;
  }
  return (
    <>
      {" "}
      · {plural("recordings.gaps", gaps.length)} ({duration(total)})
    </>
  );
}

interface ExportProps {
  session: Session;
  stream: string;
  selection: View;
  isOwn: boolean;
}

/** The button that exports the selected time, and what is known about the file afterwards. */
function Export({ session, stream, selection, isOwn }: ExportProps) {
  const [state, setState] = useState<ExportHead | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const key = `${stream} ${selection.from} ${selection.to}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is known belongs to the selected time
  useEffect(() => {
    setState(null);
    setError(null);
  }, [key]);
  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      const head = await readExportHead(session.source, stream, selection);
      setState(head);
      const link = document.createElement("a");
      link.href = head.address;
      link.download = head.fileName;
      link.click();
    } catch (cause) {
      setState(null);
      setError(cause);
    }
    setBusy(false);
  };
  return (
    <>
      <button type="button" class="primary" disabled={isBusy} onClick={start}>
        <Icon name="download" />
        {t("recordings.export")}
      </button>
      <ErrorAlert error={error} />
      {state && (
        <div class="exported" role="status">
          <p>
            {t("recordings.exporting", { name: state.fileName, size: bytes(state.bytes) })}
            {state.gaps.length > 0 && <> {plural("recordings.export_gaps", state.gaps.length)}</>}
          </p>
          {state.gaps.length > 0 && (
            <ul class="hint">
              {state.gaps.map(({ from, to }) => (
                <li key={from}>
                  {localText(from).replace("T", " ")} – {localText(to).replace("T", " ")}
                </li>
              ))}
            </ul>
          )}
          {isOwn && (
            <Digest
              key={key}
              stream={stream}
              span={{ from: timeText(selection.from), to: timeText(selection.to) }}
            />
          )}
        </div>
      )}
    </>
  );
}
