// The style sheet of the element. A constructed style sheet needs no permission of a Content-Security-Policy.

const CSS = `
:host {
  aspect-ratio: 16 / 9;
  background: var(--stream-camera-background, #000);
  color: var(--stream-camera-color, #fff);
  contain: content;
  display: block;
  font: 0.875rem/1.4 system-ui, sans-serif;
  position: relative;
}
:host([hidden]) { display: none; }
:host(:fullscreen) { aspect-ratio: auto; }
/* Instead of full screen, where the browser has none. The page may set the size of the element. */
:host([data-fills-page]) {
  aspect-ratio: auto !important;
  border-radius: 0 !important;
  height: 100dvh !important;
  inset: 0 !important;
  margin: 0 !important;
  max-height: none !important;
  max-width: none !important;
  position: fixed !important;
  width: 100vw !important;
  z-index: 2147483647 !important;
}
[hidden] { display: none !important; }
/* Phones have no Escape key, so the button is needed. */
:host([data-fills-page]) .controls[hidden] { display: flex !important; }
.screen { inset: 0; isolation: isolate; position: absolute; }
.screen > *, .still {
  height: 100%;
  inset: 0;
  object-fit: contain;
  position: absolute;
  width: 100%;
}
:host([fit="cover"]) :is(.screen > *, .still) { object-fit: cover; }
:host([fit="fill"]) :is(.screen > *, .still) { object-fit: fill; }
/* An element that has no picture yet is under the visible element, where browsers decode its pictures. */
.screen > :not([data-shown]) { z-index: -1; }
.message {
  align-items: center;
  background: var(--stream-camera-message-background, #000000a6);
  border-radius: 4px;
  display: flex;
  gap: 0.5rem;
  left: 0.5rem;
  max-width: calc(100% - 1rem);
  padding: 0.25rem 0.6rem;
  position: absolute;
  top: 0.5rem;
}
.message:empty { display: none; }
.message[data-busy]::before {
  animation: turn 1s linear infinite;
  border: 2px solid currentcolor;
  border-radius: 50%;
  border-right-color: transparent;
  content: "";
  flex: none;
  height: 0.7rem;
  width: 0.7rem;
}
@keyframes turn { to { transform: rotate(1turn); } }
@media (prefers-reduced-motion: reduce) {
  .message::before { animation: none; }
}
.controls {
  background: var(--stream-camera-controls-background, linear-gradient(#0000, #000000b3));
  bottom: 0;
  display: flex;
  gap: 0.25rem;
  inset-inline: 0;
  padding: 0.25rem;
  position: absolute;
}
.gap { flex: 1; }
button {
  background: none;
  border: 0;
  border-radius: 4px;
  color: inherit;
  cursor: pointer;
  display: grid;
  height: 2.25rem;
  padding: 0.375rem;
  width: 2.25rem;
}
button:hover { background: #ffffff33; }
button:focus-visible {
  outline: 2px solid var(--stream-camera-accent, #7cc4ff);
  outline-offset: -2px;
}
svg { fill: currentcolor; height: 100%; width: 100%; }
`;

let sheet: CSSStyleSheet | null = null;

/** Returns the style sheet, which all elements of a page share. */
export function styleSheet(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
