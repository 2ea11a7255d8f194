// The text in the middle of a tile that is not live.
import { hasRole } from "../../api/caller";
import { type Coded, explain } from "../../api/problem";
import type { Stream } from "../../api/types";
import type { State } from "../../player/live";
import { FailureText } from "../../ui/failure";
import { t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { editAddress } from "../../ui/place";

interface MessageProps {
  id: string;
  state: State;
  isWanted: boolean;
  reason: Coded | null;
  stream: Stream | undefined;
  onRetry: () => void;
  onStart: () => void;
}

/** The state of the player with the reason, or a button to start if the user has stopped the tile. */
export function Message({ id, state, isWanted, reason, stream, onRetry, onStart }: MessageProps) {
  if (!isWanted) {
    return (
      <div class="tile-message" role="status">
        <button type="button" onClick={onStart}>
          <Icon name="play" />
          {t("tile.start")}
        </button>
      </div>
    );
  }
  const hasPicture = state === "live" || (state === "pictures" && reason === null);
  if (hasPicture || state === "idle") {
    return <div class="tile-message none" role="status" />;
  }
  const error = reason ?? (stream && stream.state !== "live" ? stream.last_error : null);
  return (
    <div class={`tile-message ${state}`} role="status">
      {state === "failed" ? <Icon name="alert" /> : <span class="spinner" aria-hidden="true" />}
      <strong>{t(`tile.state.${state}`)}</strong>
      {error && (
        <p>
          <FailureText failure={explain(error)} />
        </p>
      )}
      {state === "failed" && (
        <div class="actions centered">
          <button type="button" onClick={onRetry}>
            <Icon name="refresh" />
            {t("tile.retry")}
          </button>
          {hasRole("user") && (
            <a class="button" href={editAddress(id, "wall")}>
              <Icon name="edit" />
              {t("camera.edit")}
            </a>
          )}
        </div>
      )}
    </div>
  );
}
