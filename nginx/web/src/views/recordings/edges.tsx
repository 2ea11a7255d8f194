// The fields of the edges of a selected time. What was entered stays in the fields, even if no time can be selected with it.
import { useEffect, useState } from "preact/hooks";

import { type Key, t } from "../../ui/i18n";
import { localText } from "./days";
import type { View } from "./scale";

/** The longest selected time: the API's limit for exports and share links. */
export const LONGEST_SELECTION = 24 * 3600 * 1000;

type Draft = Partial<Record<keyof View, string>>;

export interface Edges {
  selection: View;
  /** What was entered, as long as no time can be selected with it. */
  draft: Draft;
  /** The key of the text that tells why no time can be selected; null if the fields show the selected time. */
  problem: Key | null;
  enter: (edge: keyof View, text: string) => void;
}

export function useEdges(selection: View, onSelect: (selection: View) => void): Edges {
  const [draft, setDraft] = useState<Draft>({});
  // biome-ignore lint/correctness/useExhaustiveDependencies: a time that is selected otherwise replaces what was entered
  useEffect(() => setDraft({}), [selection.from, selection.to]);
  const enter = (edge: keyof View, text: string) => {
    const next = { ...draft, [edge]: text };
    const view = viewOf(selection, next);
    if (problemOf(view) === null) {
      onSelect(view);
      setDraft({});
    } else {
      setDraft(next);
    }
  };
  return { selection, draft, problem: problemOf(viewOf(selection, draft)), enter };
}

export function EdgeFields({ edges: { selection, draft, problem, enter } }: { edges: Edges }) {
  return (
    <>
      {(["from", "to"] as const).map((edge) => (
        <label class="field" key={edge}>
          <span>{t(`events.${edge}`)}</span>
          <input
            type="datetime-local"
            step={1}
            value={draft[edge] ?? localText(selection[edge])}
            aria-invalid={draft[edge] !== undefined}
            aria-describedby={problem ? "selection-problem" : undefined}
            onChange={(event) => enter(edge, event.currentTarget.value)}
          />
        </label>
      ))}
    </>
  );
}

export function EdgeProblem({ edges: { problem } }: { edges: Edges }) {
  return problem ? (
    <p id="selection-problem" class="wrong" role="alert">
      {t(problem)}
    </p>
  ) : null;
}

/** Returns the selected time with the edges that were entered. */
function viewOf(selection: View, draft: Draft): View {
  const dateOf = (edge: keyof View) => {
    const text = draft[edge];
    return text === undefined ? selection[edge] : new Date(text).getTime();
  };
  return { from: dateOf("from"), to: dateOf("to") };
}

function problemOf({ from, to }: View): Key | null {
  if (!(from < to)) {
    return "recordings.wrong_order";
  }
  return to - from > LONGEST_SELECTION ? "recordings.too_long" : null;
}
