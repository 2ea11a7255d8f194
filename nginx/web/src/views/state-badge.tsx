// The state of a stream, or of a camera that cannot be reached, as a coloured dot and a word.
import type { StreamState } from "../api/types";
import { t } from "../ui/i18n";

export function StateBadge({ state }: { state: StreamState | "offline" }) {
  return (
    <span class={`badge ${state}`}>
      <i aria-hidden="true" />
      {t(`state.${state}`)}
    </span>
  );
}
