// Records a camera from now on, for a limited time.
import { useCallback, useState } from "preact/hooks";

import { useReading } from "../../api/reading";
import { recordingStatus, recordNow, stopRecordingNow } from "../../api/recordings";
import type { RecordingState } from "../../api/types";
import { Select } from "../../ui/fields";
import { clock, dateTime, duration, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Dialog } from "../../ui/parts";
import { ErrorAlert } from "../error";

const EVERY_MS = 10_000;
/** The times for which a camera can be recorded, in minutes. */
const MINUTES = [1, 5, 15, 60, 6 * 60, 24 * 60];

export function RecordNow({ camera }: { camera: string }) {
  const read = useCallback(() => recordingStatus(camera), [camera]);
  const { value, again } = useReading(read, { every: EVERY_MS });
  const [isOpen, setOpen] = useState(false);
  const until = value?.requested_until ?? null;
  const states = value?.streams.map(({ state }) => state) ?? [];
  const isRecording = states.includes("recording");
  const words = wordsOf(states);
  const end = isRecording && until ? t("events.until", { time: shortTime(until) }) : "";
  return (
    <>
      <button
        type="button"
        class={isRecording ? "recording" : ""}
        aria-label={`${words} ${end}`.trim()}
        onClick={() => setOpen(true)}
      >
        <Icon name="record" />
        <span class="words">{`${words} ${end}`.trim()}</span>
      </button>
      {isOpen && (
        <RecordDialog
          camera={camera}
          until={until}
          problem={value?.streams.find(({ error }) => error)?.error ?? null}
          onClose={() => {
            setOpen(false);
            again();
          }}
        />
      )}
    </>
  );
}

/** Returns the words on the button. */
function wordsOf(states: RecordingState[]): string {
  if (states.includes("recording")) {
    return t("recordings.recording");
  }
  return t(states.includes("no_signal") ? "recordings.no_signal" : "recordings.record");
}

/** Formats a time of the API; without the date if it is today. */
function shortTime(at: string): string {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  return isToday ? clock(Date.parse(at), false) : dateTime(at);
}

interface RecordDialogProps {
  camera: string;
  /** The end of the recording that was requested, as the API sends it; null if none was requested. */
  until: string | null;
  /** The reason why nothing can be stored now; null without such a reason. */
  problem: string | null;
  onClose: () => void;
}

function RecordDialog({ camera, until, problem, onClose }: RecordDialogProps) {
  const [minutes, setMinutes] = useState("5");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const run = async (action: () => Promise<void>, done: string) => {
    setBusy(true);
    setError(null);
    try {
      await action();
      notify(done);
      onClose();
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  const start = (event: Event) => {
    event.preventDefault();
    void run(() => recordNow(camera, Number(minutes) * 60), t("recordings.record_started"));
  };
  return (
    <Dialog title={t("recordings.record")} onClose={onClose} class="narrow">
      <form class="form" onSubmit={start}>
        <p>{t("recordings.record_text")}</p>
        <Select
          label={t("recordings.record_for")}
          value={minutes}
          options={MINUTES.map((count): [string, string] => [String(count), duration(count * 60)])}
          onChange={setMinutes}
        />
        {until && <p>{t("recordings.record_until", { time: dateTime(until) })}</p>}
        {problem && <p class="hint">{problem}</p>}
        <ErrorAlert error={error} />
        <div class="actions">
          {until && (
            <button
              type="button"
              disabled={isBusy}
              onClick={() => run(() => stopRecordingNow(camera), t("recordings.record_stopped"))}
            >
              {t("recordings.record_stop")}
            </button>
          )}
          <button type="submit" class="primary" disabled={isBusy}>
            <Icon name="record" />
            {t("recordings.record_start")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
