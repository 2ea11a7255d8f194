// The condition of a camera, as an icon and a word in the condition's colour.
import { t } from "../ui/i18n";
import { Icon } from "../ui/icons";
import { APPEARANCES, type Condition } from "./condition";

/** The icon of a condition. */
export function Mark({ condition }: { condition: Condition }) {
  const { tone, icon } = APPEARANCES[condition];
  return (
    <span class={`mark ${tone}`} aria-hidden="true">
      {icon === "spinner" ? <span class="spinner" /> : <Icon name={icon} />}
    </span>
  );
}

/** The icon and the word of a condition. */
export function Badge({ condition }: { condition: Condition }) {
  return (
    <span class="badge" data-condition={condition}>
      <Mark condition={condition} />
      {t(`condition.${condition}`)}
    </span>
  );
}
