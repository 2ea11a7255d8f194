// Functions that run in a page with <stream-camera>.

/** Runs in the page: adds an element with these properties, and notes its events. */
export async function addElement({ name, properties, getsToken }) {
  await customElements.whenDefined("stream-camera");
  const element = document.createElement("stream-camera");
  element.id = name;
  globalThis.events ??= {};
  const events = [];
  globalThis.events[name] = events;
  for (const type of ["statechange", "error", "sessionend"]) {
    element.addEventListener(type, ({ detail }) => events.push({ type, ...detail }));
  }
  Object.assign(element, properties);
  if (getsToken) {
    element.getToken = globalThis.getToken;
  }
  document.body.append(element);
}

/**
 * Runs in the page: returns the time that the test camera's clock in the picture shows, the lower 32 bits of Unix
 * milliseconds; null without a picture. The clock is a row of 32 squares at the top of the picture.
 */
export function readClock(name) {
  const root = document.getElementById(name).shadowRoot;
  const picture = root.querySelector(".screen > [data-shown]");
  const width = picture.videoWidth ?? ("picture" in picture.dataset ? picture.width : 0);
  if (!width) {
    return null;
  }
  const size = width / 32;
  const context = new OffscreenCanvas(width, size).getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, size / 2, width, 1);
  const bit = (_, square) => (data[4 * (square + 0.5) * size] > 127 ? "1" : "0");
  return Number.parseInt(Array.from({ length: 32 }, bit).join(""), 2);
}
