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
