// The section of the camera form that decides whether and where motion is detected.
import type { Camera, MotionOptions, MotionSource } from "../../api/types";
import { Select } from "../../ui/fields";
import { t } from "../../ui/i18n";
import { ZoneEditor } from "./zone-editor";

const SOURCES: MotionSource[] = ["off", "pictures"];
/** The API's default. */
const USUAL_SENSITIVITY = 50;
/** Sensitivities up to this are low, and from this on high. */
const LOW = 35;
const HIGH = 65;

export const NO_MOTION: MotionOptions = {
  source: "off",
  sensitivity: USUAL_SENSITIVITY,
  zones: [],
};

interface MotionSectionProps {
  camera: Camera | null;
  /** Whether the camera has, or gets, a sub stream. */
  hasSub: boolean;
  /** The URL of a picture that a test of the camera has returned; null without one. */
  tested: string | null;
  value: MotionOptions;
  onChange: (value: MotionOptions) => void;
}

export function MotionSection({ camera, hasSub, tested, value, onChange }: MotionSectionProps) {
  const { source = "off", sensitivity = USUAL_SENSITIVITY, zones = [] } = value;
  const words = t(`form.motion.sensitivity.${rangeOf(sensitivity)}`);
  const set = (part: Partial<MotionOptions>) => onChange({ ...value, ...part });
  return (
    <fieldset class="part motion">
      <legend>{t("form.motion")}</legend>
      <div class="columns">
        <Select
          label={t("form.motion.source")}
          value={source}
          options={SOURCES.map((each): [string, string] => [each, t(`form.motion.source.${each}`)])}
          onChange={(chosen) => set({ source: chosen as MotionSource })}
        />
        {source !== "off" && (
          <label class="field">
            <span>{t("form.motion.sensitivity")}</span>
            <input
              type="range"
              name="sensitivity"
              min={1}
              max={100}
              value={sensitivity}
              aria-valuetext={`${sensitivity}, ${words}`}
              onInput={(event) => set({ sensitivity: event.currentTarget.valueAsNumber })}
            />
            <span class="quiet">{`${sensitivity}: ${words}`}</span>
          </label>
        )}
      </div>
      {source !== "off" && (
        <>
          <p class="hint">{t(hasSub ? "form.motion.sub" : "form.motion.main")}</p>
          <ZoneEditor
            camera={camera}
            tested={tested}
            zones={zones}
            onChange={(changed) => set({ zones: changed })}
          />
        </>
      )}
    </fieldset>
  );
}

function rangeOf(sensitivity: number): "low" | "usual" | "high" {
  if (sensitivity < LOW) {
    return "low";
  }
  return sensitivity > HIGH ? "high" : "usual";
}
