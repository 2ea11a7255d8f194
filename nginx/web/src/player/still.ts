// Copies pictures to a canvas, which the tile shows while no video plays.

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
