// Removes video and audio that have been played.
//
// Browsers extend each removal to the next keyframe. A removal that ends within the group of pictures that is
// playing would remove the rest of that group too, and the picture would freeze until the next keyframe. hls.js
// does not know where keyframes are, so this module replaces the back buffer of hls.js.
import Hls, { type BufferAppendingData } from "hls.js/dist/hls.light.min.mjs";

import { hasKeyframe } from "./boxes";

/** Seconds of played video to keep. Viewers cannot seek back, and a wall has many players. */
const KEPT = 10;
/** A removal ends this many seconds before the media with the keyframe, so that the keyframe remains. */
const BEFORE_KEYFRAME = 0.05;

/** A part or a segment that contains a keyframe, as a range of the video in seconds. */
interface KeyMedia {
  begin: number;
  end: number;
}

/**
 * Keeps the last KEPT seconds of the played video, and at least the group of pictures that is playing. Browsers
 * limit the size of the buffer, but only a group of hundreds of megabytes reaches that limit.
 */
export class BackBuffer {
  /** The buffered media with keyframes, from old to new. */
  private keyMedia: KeyMedia[] = [];

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly hls: Hls,
  ) {
    hls.on(Hls.Events.BUFFER_APPENDING, (_, data) => this.onAppending(data));
    // If hls.js has loaded only some parts of a segment, it forgets them after a removal, and loads them again.
    // Browsers then drop the picture until the next keyframe. So media is removed only between two segments.
    hls.on(Hls.Events.FRAG_LOADING, (_, { part }) => part?.index || this.trim());
  }

  private onAppending({ type, data, part, frag }: BufferAppendingData): void {
    const { buffered } = this.video;
    if (type === "audio" || buffered.length === 0 || !hasKeyframe(data)) {
      return;
    }
    // Other media may still be waiting to be appended. Then `begin` is too early, and less is removed.
    const begin = buffered.end(buffered.length - 1);
    this.keyMedia.push({ begin, end: begin + (part ?? frag).duration });
  }

  /** Removes everything before the newest keyframe that was played at least KEPT seconds ago. */
  private trim(): void {
    const limit = this.video.currentTime - KEPT;
    const first = this.keyMedia.findLast(({ end }) => end < limit);
    if (first) {
      this.keyMedia = this.keyMedia.slice(this.keyMedia.indexOf(first) + 1);
      const endOffset = Math.max(0, first.begin - BEFORE_KEYFRAME);
      this.hls.trigger(Hls.Events.BUFFER_FLUSHING, { startOffset: 0, endOffset, type: null });
    }
  }
}
