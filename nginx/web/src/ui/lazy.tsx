// Views that are loaded when they are first opened.
import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "./i18n";
import { Alert } from "./parts";

export interface Lazy {
  load: () => Promise<FunctionComponent>;
  loaded: FunctionComponent | null;
}

export function lazy(load: () => Promise<FunctionComponent>): Lazy {
  return { load, loaded: null };
}

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
        // After an update of the page, its old files may not exist any more.
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
