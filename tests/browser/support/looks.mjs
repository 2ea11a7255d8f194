// Checks of the page's looks: contrast and semantics with axe, the layout, the keyboard, and pictures of the page that
// are kept in the repository.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

import { layoutFaults } from "./layout.mjs";

const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const PICTURES = new URL("../looks/", import.meta.url);
/** Makes constant what differs between machines or changes with time: the font, animations, and the cursor in fields. */
const STEADY = `
  * { animation: none !important; caret-color: transparent !important; transition: none !important;
      font-family: "DejaVu Sans", sans-serif !important; }`;

/** The variants in which every view is checked: both themes, a phone, and a zoom of 200 % on a small window. */
export const VARIANTS = [
  { name: "light", colorScheme: "light", width: 1280, height: 800 },
  { name: "dark", colorScheme: "dark", width: 1280, height: 800 },
  { name: "light, 360 px", colorScheme: "light", width: 360, height: 740 },
  { name: "dark, 360 px", colorScheme: "dark", width: 360, height: 740 },
  // A zoom of 200 % halves the size of the window in CSS pixels.
  { name: "light, 200 % zoom", colorScheme: "light", width: 640, height: 400 },
];

/** Shows the page in a variant. */
export async function show(page, { colorScheme, width, height }) {
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height });
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
}

/** Adds CSS to the page. The page's security policy permits constructed style sheets, but not inline styles. */
export async function addCss(page, css) {
  await page.evaluate((text) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(text);
    document.adoptedStyleSheets.push(sheet);
  }, css);
}

/** Removes the CSS that was added last. */
export async function removeCss(page) {
  await page.evaluate(() => document.adoptedStyleSheets.pop());
}

/** Prepares a page for the checks. Must be called once, after the page has been opened. */
export async function steady(page) {
  await addCss(page, STEADY);
  await page.evaluate(AXE);
}

/** Returns descriptions of the violations that axe finds; an empty array if there are none. */
export async function violations(page) {
  const found = await page.evaluate(async (values) => {
    const open = [...document.querySelectorAll("dialog[open]")].at(-1);
    // With preload, axe would wait for the media of all tiles.
    const options = {
      runOnly: { type: "tag", values },
      resultTypes: ["violations"],
      preload: false,
    };
    return (await globalThis.axe.run(open ?? document, options)).violations;
  }, RULES);
  return found.map(({ id, nodes }) => {
    const elements = nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`);
    return `${id}: ${elements.join(" ")}`;
  });
}

/** Checks the page in all variants. Fails with the faults of all of them. */
export async function checkLooks(page, name, variants = VARIANTS) {
  const faults = [];
  for (const variant of variants) {
    await show(page, variant);
    const found = [...(await violations(page)), ...(await layoutFaults(page))];
    faults.push(...found.map((fault) => `${name}, ${variant.name}: ${fault}`));
  }
  assert.deepEqual(faults, []);
}

/**
 * Presses Tab until the focus has been on every control of the uppermost dialog or of the page. Returns descriptions
 * of the controls that the focus has not reached, that do not show the focus, or that something covers.
 */
export async function keyboardFaults(page) {
  const count = await page.evaluate(() => {
    const root = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
    const controls = root.querySelectorAll(
      "a[href], button, input, select, textarea, summary, [tabindex='0']",
    );
    // This includes controls that are invisible until their tile has the focus.
    const usable = [...controls].filter(
      (control) => !control.disabled && control.checkVisibility(),
    );
    usable.forEach((control, index) => (control.dataset.control = index));
    return usable.length;
  });
  const reached = new Set();
  const faults = [];
  // Between two controls, a dialog or the browser can have the focus.
  for (let press = 0; press < 2 * count + 10 && reached.size < count; press += 1) {
    await page.keyboard.press("Tab");
    const { control, fault } = await page.evaluate(focused);
    if (control !== undefined && !reached.has(control)) {
      reached.add(control);
      faults.push(...(fault ? [fault] : []));
    }
  }
  const missed = await page.evaluate(
    (indices) =>
      [...document.querySelectorAll("[data-control]")]
        .filter(({ dataset }) => !indices.includes(dataset.control))
        .map((control) => `not reached: ${control.outerHTML.slice(0, 150)}`),
    [...reached],
  );
  await page.evaluate(() => {
    for (const control of document.querySelectorAll("[data-control]")) {
      delete control.dataset.control;
    }
  });
  return [...faults, ...missed];
}

/** Runs in the page: returns the control with the focus, and what is wrong with the way it shows the focus. */
function focused() {
  const control = document.activeElement;
  if (!control?.dataset.control) {
    return {};
  }
  // The field of a button that selects files is invisible. Its button shows the focus.
  const shown = control.closest("label.button") ?? control;
  const { outlineStyle, outlineWidth } = getComputedStyle(shown);
  const { left, top, width, height } = shown.getBoundingClientRect();
  const [x, y] = [left + width / 2, top + Math.min(height / 2, 12)];
  const over = document.elementFromPoint(x, y);
  // The button that covers a tile is under the tile's other buttons and texts.
  const isExpected = shown.contains(over) || over?.contains(shown);
  const isCovered = !isExpected && !shown.closest(".tile")?.contains(over);
  const description = shown.outerHTML.slice(0, 150);
  let fault = null;
  if (outlineStyle === "none" || Number.parseFloat(outlineWidth) < 2) {
    fault = `does not show the focus: ${description}`;
  } else if (isCovered) {
    fault = `is covered by ${over?.outerHTML.slice(0, 80)}: ${description}`;
  }
  return { control: control.dataset.control, fault };
}

/** Edge of the squares whose mean colours are compared, in pixels of the kept picture. */
const SQUARE = 4;
/** Difference of a mean colour, from 0 to 255, that is visible and not caused by the rendering of the font. */
const VISIBLE = 24;
/** The largest permitted share of squares that differ visibly. */
const MAX_SHARE = 0.003;

/**
 * Compares the page with the kept picture of this name. If the page differs, writes its picture next to the kept
 * picture. With UPDATE_LOOKS=1, replaces the kept picture instead.
 */
export async function checkPicture(page, name) {
  const { picture, share } = await compareWithKept(page, name);
  if (process.env.UPDATE_LOOKS) {
    writeFileSync(new URL(`${name}.png`, PICTURES), picture);
  } else if (share > MAX_SHARE) {
    writeFileSync(new URL(`${name}.new.png`, PICTURES), picture);
    const files = `tests/browser/looks/${name}.png and ${name}.new.png`;
    const percent = (share * 100).toFixed(2);
    assert.fail(
      `${percent} % of the page looks different; compare ${files}. If the new picture is right, set UPDATE_LOOKS=1`,
    );
  }
}

/** Returns whether the page differs visibly from the kept picture of this name. */
export async function hasChanged(page, name) {
  return (await compareWithKept(page, name)).share > MAX_SHARE;
}

/**
 * Returns a picture of the page at half of the size, and the share of its squares that differ visibly from the kept
 * picture.
 */
async function compareWithKept(page, name) {
  const file = new URL(`${name}.png`, PICTURES);
  const screenshot = (await page.screenshot()).toString("base64");
  const kept = existsSync(file) ? readFileSync(file).toString("base64") : null;
  // The page's security policy does not permit the page to decode the pictures. So another page does it.
  const studio = await page.context().newPage();
  const { picture, share } = await studio.evaluate(compare, { screenshot, kept, SQUARE, VISIBLE });
  await studio.close();
  return { picture: Buffer.from(picture, "base64"), share };
}

/**
 * Runs in a page: halves the screenshot, and compares the mean colours of its squares with the kept picture.
 */
async function compare({ screenshot, kept, SQUARE: square, VISIBLE: visible }) {
  const decode = async (base64) => {
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    return image;
  };
  const draw = (image, width, height) => {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, width, height);
    return { canvas, context };
  };
  const image = await decode(screenshot);
  const [width, height] = [Math.floor(image.width / 2), Math.floor(image.height / 2)];
  const half = draw(image, width, height);
  const blob = await half.canvas.convertToBlob({ type: "image/png" });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const picture = btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
  if (!kept) {
    return { picture, share: 1 };
  }
  const before = await decode(kept);
  if (before.width !== width || before.height !== height) {
    return { picture, share: 1 };
  }
  const [columns, rows] = [Math.floor(width / square), Math.floor(height / square)];
  /** Returns the mean colours of all squares. */
  const means = ({ context }) => {
    const { data } = context.getImageData(0, 0, width, height);
    const sums = new Float64Array(columns * rows * 3);
    for (let y = 0; y < rows * square; y += 1) {
      for (let x = 0; x < columns * square; x += 1) {
        const cell = Math.floor(y / square) * columns + Math.floor(x / square);
        for (let channel = 0; channel < 3; channel += 1) {
          sums[cell * 3 + channel] += data[(y * width + x) * 4 + channel] / square ** 2;
        }
      }
    }
    return sums;
  };
  const [now, then] = [means(half), means(draw(before, width, height))];
  let different = 0;
  for (let cell = 0; cell < columns * rows; cell += 1) {
    const by = [0, 1, 2].map((channel) =>
      Math.abs(now[cell * 3 + channel] - then[cell * 3 + channel]),
    );
    different += Math.max(...by) > visible ? 1 : 0;
  }
  return { picture, share: different / (columns * rows) };
}
