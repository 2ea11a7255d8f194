// Compares the boxes around what moves with the picture below them.

/**
 * Runs in the page: collects the boxes that the first tile shows, and how far each of them is behind the dark box in the
 * picture, in parts of the picture's width.
 */
export function watchBoxes() {
  globalThis.samples = [];
  const [columns, row] = [160, 0.5];
  const context = new OffscreenCanvas(columns, 1).getContext("2d", { willReadFrequently: true });
  /** Returns the middle of the dark box; null without one. */
  const darkAt = (picture) => {
    const [width, height] = [
      picture.videoWidth ?? picture.width,
      picture.videoHeight ?? picture.height,
    ];
    context.drawImage(picture, 0, height * row, width, 1, 0, 0, columns, 1);
    const { data } = context.getImageData(0, 0, columns, 1);
    const dark = Array.from({ length: columns }, (_, n) => n).filter((n) => data[n * 4] < 90);
    return dark.length > 0 ? (dark[0] + dark.at(-1) + 1) / 2 / columns : null;
  };
  let last = "";
  const look = () => {
    const rect = document.querySelector(".motion-boxes rect");
    const picture = document.querySelector(".screen > [data-shown]");
    const key = rect?.outerHTML ?? "";
    if (rect && picture && key !== last) {
      const { width: w, height: h } = rect.ownerSVGElement.viewBox.baseVal;
      const part = (name, of) => rect[name].baseVal.value / of;
      const [left, width] = [part("x", w), part("width", w)];
      const dark = darkAt(picture);
      if (dark !== null) {
        const behind = dark - (left + width / 2);
        globalThis.samples.push({
          left,
          width,
          top: part("y", h),
          height: part("height", h),
          behind,
        });
      }
    }
    last = key;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
