// The text in the middle of a tile that shows no video.
import { hasRole } from "../../api/caller";
import { explain } from "../../api/explanation";
import type { Coded } from "../../api/problem";
import { FailureText } from "../../ui/failure";
import { t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { editAddress } from "../../ui/place";
import { Mark } from "../badge";
import { ACTION_ICONS, APPEARANCES, type Condition } from "../condition";

interface MessageProps {
  id: string;
  condition: Condition;
  /** The reason why the tile shows no video; null without such a reason. */
  error: Coded | null;
  /** Carries out the action of the condition; null if the tile cannot do so. */
  onAction: (() => void) | null;
}

/** The condition with the reason, and what the user can do about it. */
export function Message({ id, condition, error, onAction }: MessageProps) {
  const isBroken = APPEARANCES[condition].tone === "bad";
  const hasPicture = condition === "live" || (condition === "pictures" && error === null);
  if (hasPicture || condition === "paused") {
    return <div class="tile-message none" role="status" />;
  }
  return (
    <div class={`tile-message ${isBroken ? "failed" : ""}`} role="status">
      {condition !== "stopped" && (
        <>
          <Mark condition={condition} />
          <strong>{t(`condition.${condition}`)}</strong>
          {error && <Reason error={error} />}
        </>
      )}
      {(isBroken || condition === "stopped") && (
        <div class="actions centered">
          {onAction && <ActionButton condition={condition} onAction={onAction} />}
          {condition === "failed" && hasRole("user") && (
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

/** The reason, shortened if the tile is small. The title and the details of the camera contain the whole reason. */
function Reason({ error }: { error: Coded }) {
  const failure = explain(error);
  return (
    <p title={[failure.text, failure.detail].filter(Boolean).join(" ")}>
      <FailureText failure={failure} />
    </p>
  );
}

function ActionButton({ condition, onAction }: { condition: Condition; onAction: () => void }) {
  const action = APPEARANCES[condition].action ?? "start";
  return (
    <button type="button" onClick={onAction}>
      <Icon name={ACTION_ICONS[action]} />
      {t(`action.${action}`)}
    </button>
  );
}
