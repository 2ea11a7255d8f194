// Views that are loaded when they are first looked at.
import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";

import { words } from "../api/client";
import { Alert } from "./parts";
import { t } from "./i18n";

export interface Lazy {
  load: () => Promise<FunctionComponent>;
  loaded: FunctionComponent | null;
}

export function lazy(load: () => Promise<FunctionComponent>): Lazy {
  return { load, loaded: null };
}

export function Loaded({ of }: { of: Lazy }) {
  const [, setCount] = useState(0);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    setError(null);
    if (!of.loaded) {
      of.load().then(
        (component) => {
          of.loaded = component;
          setCount((count) => count + 1);
        },
        // After an update of the page its old files may be gone.
        (cause) => setError(`${words(cause)}. ${t("problem.reload")}`),
      );
    }
  }, [of]);
  if (error) {
    return <Alert>{error}</Alert>;
  }
  const View = of.loaded;
  return View && <View />;
}
