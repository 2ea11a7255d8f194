// The types of <stream-camera> in JSX, for React 19 or newer: import type {} from "@stream-manager/stream-camera/react";
import type { DetailedHTMLProps, HTMLAttributes } from "react";

import type { StreamCamera, StreamCameraEventMap, StreamCameraProps } from "./index";

type Handlers = {
  [Name in keyof StreamCameraEventMap as `on${Name}`]?: (event: StreamCameraEventMap[Name]) => void;
};

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "stream-camera": Omit<
        DetailedHTMLProps<HTMLAttributes<StreamCamera>, StreamCamera>,
        keyof StreamCameraProps | keyof Handlers
      > &
        StreamCameraProps &
        Handlers;
    }
  }
}
