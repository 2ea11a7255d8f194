// The part of the camera form in which zones are drawn, with a list that needs no pointer.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { Camera, MotionZone, MotionZoneEffect } from "../../api/types";
import { Select } from "../../ui/fields";
import { t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { useSnapshot } from "./snapshot";
import { ZonePicture } from "./zone-picture";
import {
  MAX_CORNERS,
  MAX_ZONES,
  MIN_CORNERS,
  newZone,
  parseCorners,
  SHAPE_NAMES,
  type Shape,
  textOf,
  withCornerAfter,
  withoutCorner,
} from "./zones";

const EFFECTS: MotionZoneEffect[] = ["watch", "ignore"];

interface ZoneEditorProps {
  /** The saved camera; null for a new camera, of which the service has no picture. */
  camera: Camera | null;
  /** The URL of a picture that a test of the camera has returned; null without one. */
  tested: string | null;
  zones: MotionZone[];
  onChange: (zones: MotionZone[]) => void;
}

export function ZoneEditor({ camera, tested, zones, onChange }: ZoneEditorProps) {
  const snapshot = useSnapshot(camera);
  const [chosen, setChosen] = useState(0);
  const [corner, setCorner] = useState(0);
  const selected = zones[chosen] ? chosen : null;
  const set = (n: number, part: Partial<MotionZone>) =>
    onChange(zones.map((zone, index) => (index === n ? { ...zone, ...part } : zone)));
  const select = (n: number) => {
    if (n !== chosen) {
      setChosen(n);
      setCorner(0);
    }
  };
  const add = (zone: MotionZone) => {
    onChange([...zones, zone]);
    select(zones.length);
  };
  const remove = (n: number) => {
    onChange(zones.filter((_, index) => index !== n));
    select(Math.max(0, n - 1));
  };
  const hasPicture = Boolean(tested ?? snapshot.url);
  return (
    <div class="zones">
      <ZonePicture
        zones={zones}
        selected={selected}
        corner={corner}
        picture={tested ?? snapshot.url}
        onSelect={select}
        onCorner={setCorner}
        onCorners={(n, corners) => set(n, { corners })}
        onError={snapshot.onError}
      />
      {!hasPicture && (snapshot.hasFailed || !camera) && (
        <p class="hint" role="status">
          {t(camera ? "zones.no_picture" : "zones.not_tested")}
        </p>
      )}
      <p class="hint">{t(zones.length > 0 ? "zones.how" : "zones.none")}</p>
      <ul class="zone-list">
        {zones.map((zone, n) => (
          <ZoneItem
            // biome-ignore lint/suspicious/noArrayIndexKey: zones have no other identity
            key={n}
            zone={zone}
            n={n}
            isSelected={n === selected}
            corner={corner}
            onSelect={() => select(n)}
            onCorner={setCorner}
            onChange={(part) => set(n, part)}
            onRemove={() => remove(n)}
          />
        ))}
      </ul>
      <AddZone isFull={zones.length >= MAX_ZONES} onAdd={add}>
        {camera && !tested && (
          <button type="button" onClick={snapshot.again}>
            <Icon name="refresh" />
            {t("zones.new_picture")}
          </button>
        )}
      </AddZone>
    </div>
  );
}

interface ZoneItemProps {
  zone: MotionZone;
  n: number;
  isSelected: boolean;
  /** The selected corner of the selected zone. */
  corner: number;
  onSelect: () => void;
  onCorner: (n: number) => void;
  onChange: (part: Partial<MotionZone>) => void;
  onRemove: () => void;
}

/** A zone in the list. Only the selected one shows its corners. */
function ZoneItem(props: ZoneItemProps) {
  const { zone, n, isSelected, corner, onSelect, onCorner, onChange, onRemove } = props;
  const name = t("zones.name", { n: n + 1 });
  const { corners } = zone;
  return (
    <li class="zone-item">
      <div class="zone-row">
        <button type="button" class="toggle" aria-pressed={isSelected} onClick={onSelect}>
          {name}
        </button>
        <Select
          label={t("zones.effect", { name })}
          isLabelHidden
          value={zone.effect}
          options={EFFECTS.map((effect): [string, string] => [effect, t(`zones.effect.${effect}`)])}
          onChange={(effect) => onChange({ effect: effect as MotionZoneEffect })}
        />
        <IconButton icon="trash" label={t("zones.remove", { name })} onClick={onRemove} />
      </div>
      {isSelected && (
        <>
          <CornersField corners={corners} onChange={(changed) => onChange({ corners: changed })} />
          <div class="zone-row">
            <button
              type="button"
              disabled={corners.length >= MAX_CORNERS}
              onClick={() => {
                onChange({ corners: withCornerAfter(corners, corner) });
                onCorner(corner + 1);
              }}
            >
              <Icon name="plus" />
              {t("zones.add_corner")}
            </button>
            <button
              type="button"
              disabled={corners.length <= MIN_CORNERS}
              onClick={() => {
                onChange({ corners: withoutCorner(corners, corner) });
                onCorner(Math.max(0, corner - 1));
              }}
            >
              <Icon name="minus" />
              {t("zones.remove_corner", { n: corner + 1 })}
            </button>
          </div>
        </>
      )}
    </li>
  );
}

interface CornersFieldProps {
  corners: number[][];
  onChange: (corners: number[][]) => void;
}

/** A field with the corners of a zone in percent. While its text is invalid, the form cannot be saved. */
function CornersField({ corners, onChange }: CornersFieldProps) {
  const [text, setText] = useState(() => textOf(corners));
  const input = useRef<HTMLInputElement>(null);
  const isValid = parseCorners(text) !== null;
  // If the zone was changed on the picture, the field shows the change.
  useEffect(() => {
    const shown = textOf(corners);
    setText((before) => {
      const entered = parseCorners(before);
      return entered && textOf(entered) === shown ? before : shown;
    });
  }, [corners]);
  useEffect(() => {
    input.current?.setCustomValidity(isValid ? "" : t("zones.invalid"));
  }, [isValid]);
  return (
    <label class="field">
      <span>{t("zones.corners")}</span>
      <input
        ref={input}
        type="text"
        name="zone_corners"
        value={text}
        spellcheck={false}
        autocomplete="off"
        placeholder="0 50; 100 50; 100 100; 0 100"
        onInput={(event) => {
          const entered = event.currentTarget.value;
          setText(entered);
          const parsed = parseCorners(entered);
          if (parsed) {
            onChange(parsed);
          }
        }}
      />
      {!isValid && <span class="why">{t("zones.invalid")}</span>}
    </label>
  );
}

interface AddZoneProps {
  isFull: boolean;
  onAdd: (zone: MotionZone) => void;
  children: ComponentChildren;
}

/** The buttons that add a zone, and the shape that it has at first. */
function AddZone({ isFull, onAdd, children }: AddZoneProps) {
  const [shape, setShape] = useState<Shape>("centre");
  return (
    <div class="zone-row">
      <Select
        label={t("zones.shape")}
        isLabelHidden
        value={shape}
        options={SHAPE_NAMES.map((name): [string, string] => [name, t(`zones.shape.${name}`)])}
        onChange={(name) => setShape(name as Shape)}
      />
      {EFFECTS.map((effect) => (
        <button
          key={effect}
          type="button"
          disabled={isFull}
          onClick={() => onAdd(newZone(effect, shape))}
        >
          <Icon name="plus" />
          {t(`zones.add.${effect}`)}
        </button>
      ))}
      {children}
    </div>
  );
}
