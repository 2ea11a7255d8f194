// Checks the types of the element in templates of Vue: those of the props of a component. Only the compiler reads this
// file.
import type { CameraError } from "@stream-manager/stream-camera";
import type {} from "@stream-manager/stream-camera/vue";
import type { GlobalComponents } from "vue";

type Props = InstanceType<GlobalComponents["stream-camera"]>["$props"];

/** <stream-camera server="…" camera="gate" :getToken.prop="getToken" @error="…" @sessionend="…" /> */
export function gate(getToken: () => Promise<string>, report: (error: CameraError) => void): Props {
  return {
    server: "https://video.example.com",
    camera: "gate",
    muted: false,
    getToken,
    class: "gate",
    onError: ({ detail }) => report(detail),
    onStatechange: ({ detail: { state, transport } }) => {
      document.title = `${state} ${transport}`;
    },
    onSessionend: ({ detail }) => report(detail),
  };
}

// @ts-expect-error: there is no such quality
export const best: Props = { quality: "best" };
