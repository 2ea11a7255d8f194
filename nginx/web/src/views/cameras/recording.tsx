// The section of the camera form that decides when the camera is recorded.
import { useState } from "preact/hooks";

import { MOTION } from "../../api/motion";
import type { RecordedProfiles, RecordingMode, RecordingOptions } from "../../api/types";
import { Field, Select } from "../../ui/fields";
import { t } from "../../ui/i18n";
import { ownTimeZone, Schedule, WORKING_NIGHTS } from "../schedule";

const MODES: RecordingMode[] = ["off", "continuous", "schedule", "events"];
const PROFILES: RecordedProfiles[] = ["main", "sub", "both"];
/** The API's defaults for the mode `events`. */
const NEW_EVENTS = { types: ["reported"], before_seconds: 5, after_seconds: 15 };
const MAX_DAYS = 36_500;
const GIGABYTE = 1e9;
/** The smallest size that the form accepts. A smaller limit would delete recordings of a few minutes. */
const MIN_GIGABYTES = 0.1;

interface RecordingSectionProps {
  /** The options; null for a new camera, which gets the default of the service. */
  value: RecordingOptions | null;
  /** Whether motion is detected. */
  hasMotion: boolean;
  onChange: (value: RecordingOptions | null) => void;
}

export function RecordingSection({ value, hasMotion, onChange }: RecordingSectionProps) {
  const change = (part: Partial<RecordingOptions>) => onChange({ ...value, ...part });
  const setMode = (chosen: string) => {
    if (!chosen) {
      onChange(null);
      return;
    }
    const isNew = chosen === "schedule" && !value?.schedule?.length;
    change({
      mode: chosen as RecordingMode,
      ...(isNew && {
        schedule: [WORKING_NIGHTS],
        time_zone: value?.time_zone ?? ownTimeZone(),
      }),
    });
  };
  const modes: [string, string][] = MODES.map((each) => [each, t(`form.recording.${each}`)]);
  const mode = value?.mode ?? "";
  return (
    <fieldset class="part">
      <legend>{t("form.recording")}</legend>
      <div class="columns">
        <Select
          label={t("form.recording.mode")}
          value={mode}
          options={value ? modes : [["", t("form.recording.default")], ...modes]}
          onChange={setMode}
        />
        {value && mode !== "off" && (
          <Select
            label={t("form.recording.profile")}
            value={value.profile ?? "main"}
            options={PROFILES.map((profile): [string, string] => [
              profile,
              t(`form.recording.profile.${profile}`),
            ])}
            onChange={(profile) => change({ profile: profile as RecordedProfiles })}
          />
        )}
        {value && mode !== "off" && (
          <Days
            name="keep_days"
            label={t("form.recording.keep_days")}
            value={value.keep_days ?? null}
            onChange={(days) => change({ keep_days: days })}
          />
        )}
        {value && mode !== "off" && (
          <Days
            name="keep_event_days"
            label={t("form.recording.keep_event_days")}
            value={value.keep_event_days ?? null}
            onChange={(days) => change({ keep_event_days: days })}
          />
        )}
        {value && mode !== "off" && (
          <Size
            value={value.max_bytes ?? null}
            onChange={(bytes) => change({ max_bytes: bytes })}
          />
        )}
      </div>
      {value && mode === "schedule" && (
        <Schedule
          entries={value.schedule ?? []}
          newEntry={WORKING_NIGHTS}
          timeZone={value.time_zone ?? null}
          onEntries={(schedule) => change({ schedule })}
          onTimeZone={(zone) => change({ time_zone: zone })}
        />
      )}
      {value && mode === "events" && (
        <Trigger value={value} hasMotion={hasMotion} change={change} />
      )}
      {value && hasMotion && ["continuous", "schedule"].includes(mode) && (
        <MotionCheck value={value} label={t("form.recording.motion_mark")} change={change} />
      )}
    </fieldset>
  );
}

interface DaysProps {
  name: string;
  label: string;
  value: number | null;
  onChange: (days: number | null) => void;
}

/** A field for a number of days; empty for the default of the service. */
function Days({ name, label, value, onChange }: DaysProps) {
  return (
    <Field
      label={label}
      name={name}
      type="number"
      min={1}
      max={MAX_DAYS}
      value={value === null ? "" : String(value)}
      placeholder={t("form.recording.default")}
      onInput={(text) => onChange(text ? Number(text) : null)}
    />
  );
}

interface SizeProps {
  /** Bytes; null without a limit. */
  value: number | null;
  onChange: (bytes: number | null) => void;
}

/** A field for the largest size of a camera's recordings in GB; empty without a limit. */
function Size({ value, onChange }: SizeProps) {
  const [text, setText] = useState(value === null ? "" : String(value / GIGABYTE));
  return (
    <Field
      label={t("form.recording.max_size")}
      name="max_size"
      type="number"
      min={MIN_GIGABYTES}
      step="any"
      value={text}
      placeholder={t("form.recording.no_limit")}
      onInput={(entered) => {
        setText(entered);
        onChange(entered ? Math.round(Number(entered) * GIGABYTE) : null);
      }}
    />
  );
}

interface PartProps {
  value: RecordingOptions;
  change: (part: Partial<RecordingOptions>) => void;
}

/** Returns the events of the options, with the API's defaults. */
function eventsOf({ events }: RecordingOptions): typeof NEW_EVENTS {
  return { ...NEW_EVENTS, ...events };
}

/** The events of the mode `events`. */
function Trigger({ value, hasMotion, change }: PartProps & { hasMotion: boolean }) {
  const events = eventsOf(value);
  const hasMotionType = events.types.includes(MOTION);
  const others = events.types.filter((type) => type !== MOTION);
  const set = (part: Partial<typeof events>) => change({ events: { ...events, ...part } });
  return (
    <div class="schedule">
      <MotionCheck value={value} label={t("form.recording.motion")} change={change} />
      {hasMotionType && !hasMotion && <p class="hint">{t("form.recording.motion_off")}</p>}
      <div class="columns">
        <Types
          value={others}
          isRequired={!hasMotionType}
          onChange={(types) =>
            set({ types: [...new Set(hasMotionType ? [...types, MOTION] : types)] })
          }
        />
        <Field
          label={t("form.recording.before")}
          name="before_seconds"
          type="number"
          required
          min={0}
          max={60}
          value={String(events.before_seconds)}
          onInput={(text) => set({ before_seconds: Number(text) })}
        />
        <Field
          label={t("form.recording.after")}
          name="after_seconds"
          type="number"
          required
          min={0}
          max={600}
          value={String(events.after_seconds)}
          onInput={(text) => set({ after_seconds: Number(text) })}
        />
      </div>
      <p class="hint">{t("form.recording.types_hint")}</p>
    </div>
  );
}

/** A checkbox with which motion becomes, or is no longer, one of the events of the recording. */
function MotionCheck({ value, label, change }: PartProps & { label: string }) {
  const events = eventsOf(value);
  const others = events.types.filter((type) => type !== MOTION);
  return (
    <label class="check">
      <input
        type="checkbox"
        name="motion_event"
        checked={events.types.includes(MOTION)}
        onChange={(event) => {
          const types = event.currentTarget.checked ? [...others, MOTION] : others;
          change({ events: { ...events, types } });
        }}
      />
      <span>{label}</span>
    </label>
  );
}

interface TypesProps {
  value: string[];
  isRequired: boolean;
  onChange: (types: string[]) => void;
}

/** A field for types of events, separated by commas. It keeps the text as it was entered, so that commas can be typed. */
function Types({ value, isRequired, onChange }: TypesProps) {
  const [text, setText] = useState(value.join(", "));
  return (
    <Field
      label={t("form.recording.types")}
      name="event_types"
      required={isRequired}
      value={text}
      placeholder="reported.door, camera"
      onInput={(entered) => {
        setText(entered);
        onChange(entered.split(/[\s,]+/).filter(Boolean));
      }}
    />
  );
}
