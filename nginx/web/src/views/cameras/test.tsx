// The test of a camera, with the values of the form or of a discovered device.
import { useEffect, useRef, useState } from "preact/hooks";

import { LONG_MS, post } from "../../api/client";
import type { Tested, TestInput } from "../../api/types";
import { number, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { ErrorAlert } from "../error";

export type Result =
  | { is: "running" }
  | { is: "passed"; tested: Tested }
  | { is: "failed"; error: unknown };

interface Test {
  /** The result of the latest test; null before the first test and after a change of the input. */
  result: Result | null;
  run: (input: TestInput) => Promise<void>;
  /** Aborts a running test and discards the result. */
  reset: () => void;
}

export function useTest(): Test {
  const [result, setResult] = useState<Result | null>(null);
  const running = useRef<AbortController | null>(null);

  // Ends the test when the form is closed, so that the test does not occupy the camera.
  useEffect(() => () => running.current?.abort(), []);

  const run: Test["run"] = async (input) => {
    setResult({ is: "running" });
    const controller = new AbortController();
    running.current = controller;
    const { signal } = controller;
    try {
      const tested = await post<Tested>("cameras/test", input, { signal, within: LONG_MS });
      setResult({ is: "passed", tested });
    } catch (error) {
      if (!signal.aborted) {
        setResult({ is: "failed", error });
      }
    }
  };
  const reset = () => {
    running.current?.abort();
    setResult(null);
  };
  return { result, run, reset };
}

/** Returns the URL of the picture of a test that has passed; null without a picture. */
export function pictureOf(result: Result | null): string | null {
  return result?.is === "passed" && result.tested.still
    ? `data:image/jpeg;base64,${result.tested.still}`
    : null;
}

export function TestResult({ result }: { result: Result | null }) {
  return (
    <div class="test-result" role="status" aria-live="polite">
      {result?.is === "running" && (
        <p class="hint">
          <span class="spinner" aria-hidden="true" /> {t("form.testing")}
        </p>
      )}
      {result?.is === "failed" && <ErrorAlert error={result.error} />}
      {result?.is === "passed" && <Passed tested={result.tested} />}
    </div>
  );
}

function Passed({ tested }: { tested: Tested }) {
  const { width, height, video_codec, frame_rate, audio_codec, took_seconds } = tested;
  const picture = pictureOf({ is: "passed", tested });
  const facts = [
    `${width} × ${height}`,
    video_codec.toUpperCase(),
    frame_rate ? `${number(frame_rate)} fps` : null,
    audio_codec ? audio_codec.toUpperCase() : t("form.no_audio"),
  ];
  return (
    <div class="passed">
      {picture && <img src={picture} alt={t("form.still")} width={width} height={height} />}
      <div>
        <strong>
          <Icon name="check" />
          {t("form.passed")}
        </strong>
        <p>{facts.filter(Boolean).join(", ")}</p>
        <p class="hint">{t("form.took", { n: number(took_seconds, 1) })}</p>
      </div>
    </div>
  );
}
