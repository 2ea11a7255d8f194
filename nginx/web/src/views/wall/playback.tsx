// The part of a tile's details that shows how the tile gets its picture, and lets the user choose a transport.

import { chooseDefault, chooseFor, defaultChoice, ownChoice } from "../../playback/preference";
import { CHOICES, type Choice } from "../../player/choice";
import type { LivePlayer } from "../../player/live";
import { Select } from "../../ui/fields";
import { bitRate, number, t } from "../../ui/i18n";

interface PlaybackProps {
  id: string;
  player: LivePlayer | null;
}

/** The value of the option that a camera follows the default. */
const FOLLOWS = "";

export function Playback({ id, player }: PlaybackProps) {
  const choices = CHOICES.map((choice): [string, string] => [choice, t(`transport.${choice}`)]);
  const follows = t("playback.follow", { transport: t(`transport.${defaultChoice.value}`) });
  return (
    <>
      <Current player={player} />
      <Select
        label={t("playback.camera")}
        value={ownChoice(id) ?? FOLLOWS}
        options={[[FOLLOWS, follows], ...choices]}
        onChange={(value) => chooseFor(id, value === FOLLOWS ? null : (value as Choice))}
      />
      <Select
        label={t("playback.default")}
        value={defaultChoice.value}
        options={choices}
        onChange={(value) => chooseDefault(value as Choice)}
      />
    </>
  );
}

/** The transport in use with its figures, and why the others are not in use. */
function Current({ player }: { player: LivePlayer | null }) {
  const name = player?.transport.value ?? null;
  const age = player?.latency.value ?? null;
  const rate = player?.rate.value ?? null;
  const perSecond = player?.picturesPerSecond.value ?? null;
  const figures = [
    name && t(`transport.${name}`),
    age !== null && t("playback.age", { n: number(age, 2) }),
    rate !== null && bitRate(rate),
    perSecond !== null && t("playback.pictures", { n: number(perSecond, 1) }),
    player?.isSoundless.value && t("playback.soundless"),
  ].filter(Boolean);
  const reasons = player ? [...player.reasonsAgainst()] : [];
  return (
    <dl class="facts">
      {figures.length > 0 && (
        <>
          <dt>{t("playback.transport")}</dt>
          <dd>{figures.join(", ")}</dd>
        </>
      )}
      {reasons.length > 0 && (
        <>
          <dt>{t("playback.others")}</dt>
          <dd>
            <ul class="reasons">
              {reasons.map(([other, reason]) => (
                <li key={other}>
                  {t(`transport.${other}`)}: {t(`playback.reason.${reason}`)}
                </li>
              ))}
            </ul>
          </dd>
        </>
      )}
    </dl>
  );
}
