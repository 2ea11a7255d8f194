// The types of <stream-camera> in templates of Vue 3: import type {} from "@stream-manager/stream-camera/vue";
import type { DefineComponent } from "vue";

import type { StreamCameraEventMap, StreamCameraProps } from "./index";

type Handlers = {
  [Name in keyof StreamCameraEventMap as `on${Capitalize<Name>}`]?: (
    event: StreamCameraEventMap[Name],
  ) => void;
};

declare module "vue" {
  interface GlobalComponents {
    "stream-camera": DefineComponent<StreamCameraProps & Handlers>;
  }
}
