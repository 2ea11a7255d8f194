// Copies pictures to a canvas, which the tile shows while no video plays.
import { type Picture, sizeOf } from "./screen";

/** Largest width, in pixels, of the copy of a picture. */
const WIDTH = 960;

/** Copies a picture of this size to the canvas, scaled down to at most WIDTH. */
export function copyPicture(
  picture: CanvasImageSource,
  width: number,
  height: number,
  canvas: HTMLCanvasElement,
): void {
  const scale = Math.min(1, WIDTH / width);
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
}

/** Copies the present picture of an element to the canvas. Returns false if the element has no picture. */
export function copyElement(element: Picture, canvas: HTMLCanvasElement): boolean {
  const { width, height } = sizeOf(element);
  if (width) {
    copyPicture(element, width, height, canvas);
  }
  return width > 0;
}
