// A strip with the pictures of events.
import { useState } from "preact/hooks";

import { hasRight } from "../../api/caller";
import { nameOf } from "../../api/names";
import { useReading } from "../../api/reading";
import { listRecorded } from "../../api/recordings";
import type { RecordedStream, StoredEvent } from "../../api/types";
import { clock, dateTimeSeconds, t } from "../../ui/i18n";
import { Dialog } from "../../ui/parts";
import { ScrollBox } from "../../ui/scroll-box";
import { usePicture } from "./picture";
import { hasPicture, recordedAt } from "./pictured";
import { recordingAddress } from "./row";
import { typeText } from "./texts";

const readRecorded = async () => (hasRight("recordings") ? await listRecorded() : []);

/** A picture that the user has opened. */
interface Opened {
  src: string;
  text: string;
}

interface StripProps {
  events: StoredEvent[];
  /** Shows earlier events; null if there are none. */
  onMore: (() => Promise<void>) | null;
}

/** The pictures of events, the newest first; nothing if no event has a picture. */
export function Strip({ events, onMore }: StripProps) {
  const recorded = useReading(readRecorded).value ?? [];
  const [opened, setOpened] = useState<Opened | null>(null);
  const shown = events.filter((event) => hasPicture(event, recorded));
  if (shown.length === 0) {
    return null;
  }
  return (
    <ScrollBox class="strip" label={t("events.pictures")}>
      <ul>
        {shown.map((event) => (
          <Item key={event.id} event={event} recorded={recorded} onOpen={setOpened} />
        ))}
        {onMore && (
          <li>
            <button type="button" class="strip-more" onClick={() => void onMore()}>
              {t("events.more")}
            </button>
          </li>
        )}
      </ul>
      {opened && (
        <Dialog title={opened.text} class="broad" onClose={() => setOpened(null)}>
          <img class="opened-picture" src={opened.src} alt={opened.text} />
        </Dialog>
      )}
    </ScrollBox>
  );
}

/** Scrolls to a control that has got the focus. Browsers do not scroll if a part of the control is visible. */
function reveal({ currentTarget }: { currentTarget: HTMLElement }): void {
  currentTarget.scrollIntoView({ block: "nearest", inline: "nearest" });
}

interface ItemProps {
  event: StoredEvent;
  recorded: RecordedStream[];
  onOpen: (opened: Opened) => void;
}

/** The picture of an event, which leads to the recording, or opens the picture if the event is not recorded. */
function Item({ event, recorded, onOpen }: ItemProps) {
  const { id, label, type, at } = event;
  const camera = event.camera ?? "";
  const { box, src, onError, isMissing } = usePicture(event, recorded);
  const title = label ?? typeText(type);
  const name = nameOf(camera);
  const text = `${title}, ${name}, ${dateTimeSeconds(at)}`;
  const content = (
    <>
      <span class="strip-picture">{src && <img src={src} alt={text} onError={onError} />}</span>
      <span class="name" title={name}>
        <bdi>{name}</bdi>
      </span>
      <span class="name quiet" title={title}>
        {clock(Date.parse(at))} · <bdi>{title}</bdi>
      </span>
    </>
  );
  return (
    <li ref={box} class={isMissing ? "none" : ""} data-picture={id}>
      {recordedAt(event, recorded) ? (
        <a
          href={recordingAddress(camera, at)}
          title={t("recordings.open_event", { title })}
          onFocus={reveal}
        >
          {content}
        </a>
      ) : (
        <button type="button" onClick={() => src && onOpen({ src, text })} onFocus={reveal}>
          {content}
        </button>
      )}
    </li>
  );
}
