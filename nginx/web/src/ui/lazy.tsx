// Components that the browser loads when they are first shown.
import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "./i18n";
import { Alert } from "./parts";

/** A component that is loaded when it is first shown; `loaded` is null before that. */
export interface Lazy {
  load: () => Promise<FunctionComponent>;
  loaded: FunctionComponent | null;
}

export function lazy(load: () => Promise<FunctionComponent>): Lazy {
  return { load, loaded: null };
}

/** Loads and shows a component. Shows nothing while it loads, and an alert if it cannot be loaded. */
export function Loaded({ of }: { of: Lazy }) {
  const [, setCount] = useState(0);
  const [hasFailed, setFailed] = useState(false);
  useEffect(() => {
    setFailed(false);
    if (!of.loaded) {
      of.load().then(
        (component) => {
          of.loaded = component;
          setCount((count) => count + 1);
        },
        // After an update of the page, the files of the old page may no longer exist.
        () => setFailed(true),
      );
    }
  }, [of]);
  if (hasFailed) {
    return <Alert>{t("problem.reload")}</Alert>;
  }
  const View = of.loaded;
  return View && <View />;
}
