// Checks the types of the element in React. Only the compiler reads this file.
import type { StreamCamera } from "@stream-manager/stream-camera";
import type {} from "@stream-manager/stream-camera/react";
import { useRef } from "react";

export function Gate({ getToken }: { getToken: () => Promise<string> }) {
  const camera = useRef<StreamCamera>(null);
  return (
    <div>
      <stream-camera
        ref={camera}
        server="https://video.example.com"
        camera="gate"
        getToken={getToken}
        muted={false}
        className="gate"
        onerror={({ detail }) => {
          document.title = detail.code;
        }}
        onsessionend={() => camera.current?.stop()}
      />
      {/* @ts-expect-error: there is no such quality */}
      <stream-camera quality="best" />
    </div>
  );
}
