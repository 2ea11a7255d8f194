// Checkboxes for the types of events of a subscription.
import { t } from "../../ui/i18n";
import { TYPES, typeText } from "../events/texts";
import { groupsFor, isChosen, type TypeGroup, toggledGroup, toggledType } from "./choice";

interface TypeChoiceProps {
  chosen: string[];
  onChange: (types: string[]) => void;
}

export function TypeChoice({ chosen, onChange }: TypeChoiceProps) {
  return (
    <fieldset class="part push-types">
      <legend>{t("push.types")}</legend>
      {groupsFor(TYPES, chosen).map((group) => (
        <GroupChoice key={group.name} group={group} chosen={chosen} onChange={onChange} />
      ))}
    </fieldset>
  );
}

function GroupChoice({ group, chosen, onChange }: TypeChoiceProps & { group: TypeGroup }) {
  const { name, types } = group;
  const count = types.filter((type) => isChosen(chosen, type)).length;
  const isWhole = chosen.includes(name);
  const box = (
    <label class="check">
      <input
        type="checkbox"
        name={name}
        checked={isWhole}
        // Some of the types, but not the group.
        indeterminate={!isWhole && count > 0}
        onChange={() => onChange(toggledGroup(chosen, name))}
      />
      {typeText(name)}
    </label>
  );
  if (types.length === 0) {
    return box;
  }
  return (
    <div class="push-group">
      {box}
      <details>
        <summary>{t("push.single_types")}</summary>
        <div class="push-single">
          {types.map((type) => (
            <label key={type} class="check">
              <input
                type="checkbox"
                name={type}
                checked={isChosen(chosen, type)}
                onChange={() => onChange(toggledType(chosen, group, type))}
              />
              {typeText(type)}
            </label>
          ))}
        </div>
      </details>
    </div>
  );
}
