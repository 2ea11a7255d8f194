// What can be done with a selected time: export, share, protect, delete.
import { useEffect, useState } from "preact/hooks";

import { hasRole } from "../../api/caller";
import { deleteRecordings, lockRecordings, type Span } from "../../api/recordings";
import { timeText } from "../../playback/recordings/source";
import { Select } from "../../ui/fields";
import { bytes, duration, plural, t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Confirm } from "../../ui/parts";
import { ErrorAlert, report } from "../error";
import { localText } from "./days";
import { EdgeFields, EdgeProblem, useEdges } from "./edges";
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
  const edges = useEdges(selection, onSelect);
  const isOff = isBusy || edges.problem !== null;
  const camera = cameras[index] ?? cameras[0];
  // Exports have the best picture.
  const stream = camera?.streams.main ?? camera?.streams.sub ?? "";
  const spans = footage?.get(streams[index] ?? "")?.spans ?? null;
  const span = { from: timeText(selection.from), to: timeText(selection.to) };
  const isOwn = !limit;
  const canManage = isOwn && hasRole("user");
  if (!camera) {
    return null;
  }
  /** Runs an action that returns what it has done; null if it has found nothing. */
  const run = async (action: () => Promise<string | null>) => {
    setBusy(true);
    try {
      const done = await action();
      notify(done ?? t("recordings.nothing"), done === null);
      onChanged();
    } catch (error) {
      report(error);
    }
    setBusy(false);
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
        <EdgeFields edges={edges} />
      </div>
      <EdgeProblem edges={edges} />
      <div class="actions">
        {canManage && (
          <Locks
            selected={spans?.filter((each) => overlaps(each, selection)) ?? []}
            isOff={isOff}
            onLock={(isLocked) => void run(() => lock(camera.id, span, isLocked))}
          />
        )}
        {canManage && (
          <button type="button" disabled={isOff} onClick={() => setDialog("delete")}>
            <Icon name="trash" />
            {t("delete")}
          </button>
        )}
        {isOwn && (
          <button type="button" disabled={isOff} onClick={() => setDialog("share")}>
            <Icon name="link" />
            {t("recordings.share")}
          </button>
        )}
        <Export
          session={session}
          stream={stream}
          selection={selection}
          isOwn={isOwn}
          isOff={isOff}
        />
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
            void run(() => erase(camera.id, span));
          }}
        />
      )}
    </section>
  );
}

interface LocksProps {
  /** The recordings of the selected time. */
  selected: Footage["spans"];
  isOff: boolean;
  onLock: (isLocked: boolean) => void;
}

/** The buttons that protect recordings and end the protection. If a part is protected, there are both. */
function Locks({ selected, isOff, onLock }: LocksProps) {
  const hasLocked = selected.some(({ isLocked }) => isLocked);
  const hasUnlocked = selected.some(({ isLocked }) => !isLocked);
  return (
    <>
      {(hasUnlocked || !hasLocked) && (
        <button type="button" disabled={isOff} onClick={() => onLock(true)}>
          <Icon name="lock" />
          {t("recordings.lock")}
        </button>
      )}
      {hasLocked && (
        <button type="button" disabled={isOff} onClick={() => onLock(false)}>
          <Icon name="lock" />
          {t("recordings.unlock")}
        </button>
      )}
    </>
  );
}

/** Protects recordings or ends the protection. Returns what was done; null if there are no recordings. */
async function lock(camera: string, span: Span, isLocked: boolean): Promise<string | null> {
  const files = await lockRecordings(camera, span, isLocked);
  if (files === 0) {
    return null;
  }
  return plural(isLocked ? "recordings.locked" : "recordings.unlocked", files);
}

/** Deletes recordings. Returns what was done; null if there are no recordings. */
async function erase(camera: string, span: Span): Promise<string | null> {
  const { deleted, left } = await deleteRecordings(camera, span);
  const texts = [
    ...(deleted > 0 ? [plural("recordings.deleted", deleted)] : []),
    ...(left > 0 ? [plural("recordings.left", left)] : []),
  ];
  return texts.length > 0 ? texts.join(" ") : null;
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
  isOff: boolean;
}

/** The button that exports the selected time, and what is known about the file afterwards. */
function Export({ session, stream, selection, isOwn, isOff }: ExportProps) {
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
      <button type="button" class="primary" disabled={isBusy || isOff} onClick={start}>
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
