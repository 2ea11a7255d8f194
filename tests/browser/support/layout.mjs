// Finds faults of a page's layout: content that overflows, is cut off, or covers other content.

/**
 * Returns descriptions of the faults in the uppermost open dialog, or in the whole page if no dialog is open.
 * Returns an empty array if there are no faults.
 */
export function layoutFaults(page) {
  return page.evaluate(findFaults);
}

/** Runs in the page. */
// biome-ignore lint/complexity/noExcessiveCognitiveComplexity: Playwright sends one function with all of its parts
function findFaults() {
  /** Differences up to this many pixels come from rounding. */
  const TOLERANCE = 1;
  /** Elements with which users interact. The button that covers a whole tile is not among them. */
  const CONTROLS =
    "a[href], button:not(.tile-open), input, select, textarea, summary, label.button, label.choice";
  /** Elements that are meant to scroll sideways. */
  const STRIPS = ".strip";
  const faults = [];
  const root = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;

  const describe = (element) => {
    const name = element.className?.baseVal ?? element.className;
    const text = element.textContent.trim().slice(0, 40);
    return `<${element.localName}${name ? ` class="${name}"` : ""}> ${JSON.stringify(text)}`;
  };
  const report = (problem, element, amount) =>
    faults.push(`${problem}${amount ? ` by ${Math.round(amount)} px` : ""}: ${describe(element)}`);
  const isShown = (element) =>
    element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) &&
    !element.closest(".unseen, .skip, svg, option") &&
    // An element with a clip path is only for screen readers.
    getComputedStyle(element).clipPath === "none";
  const number = Number.parseFloat;
  const isClipping = ({ overflowX, overflowY }) =>
    [overflowX, overflowY].some((value) => value !== "visible");
  const isShortened = ({ textOverflow, webkitLineClamp }) =>
    textOverflow === "ellipsis" || webkitLineClamp !== "none";

  /** Returns the box inside an element's border and padding. */
  const contentBox = (element) => {
    const { left, right } = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    return {
      left: left + number(style.borderLeftWidth) + number(style.paddingLeft),
      right: right - number(style.borderRightWidth) - number(style.paddingRight),
    };
  };
  /** Returns the nearest ancestor that lays out its content as a block, in a grid, or in a row. */
  const containerOf = (node) => {
    let parent = node.parentElement;
    while (parent && /^(inline|contents)$/.test(getComputedStyle(parent).display)) {
      parent = parent.parentElement;
    }
    return parent;
  };
  /** Returns the part of a box that no ancestor cuts off; null if nothing is left. */
  const visiblePart = ({ left, top, right, bottom }, element) => {
    const part = { left, top, right, bottom };
    for (let parent = element; parent && parent !== document.body; parent = parent.parentElement) {
      if (isClipping(getComputedStyle(parent))) {
        const clip = parent.getBoundingClientRect();
        part.left = Math.max(part.left, clip.left);
        part.top = Math.max(part.top, clip.top);
        part.right = Math.min(part.right, clip.right);
        part.bottom = Math.min(part.bottom, clip.bottom);
      }
    }
    return part.right - part.left > 1 && part.bottom - part.top > 1 ? part : null;
  };
  /** Returns the nearest of the element and its ancestors that does not scroll with the page; null if all scroll. */
  const layerOf = (element) => {
    for (let parent = element; parent; parent = parent.parentElement) {
      if (/^(fixed|sticky)$/.test(getComputedStyle(parent).position)) {
        return parent;
      }
    }
    return null;
  };

  const checkOverflow = (element) => {
    const style = getComputedStyle(element);
    const parent = containerOf(element);
    if (/^(absolute|fixed)$/.test(style.position) || !parent || !root.contains(parent)) {
      return;
    }
    const rect = element.getBoundingClientRect();
    const [left, right] = [number(style.marginLeft), number(style.marginRight)];
    // With a negative margin, an element is meant to extend into the padding of its parent.
    const outer = parent.getBoundingClientRect();
    const inner = contentBox(parent);
    const over = Math.max(
      (left < 0 ? outer : inner).left - rect.left,
      rect.right - (right < 0 ? outer : inner).right,
    );
    if (over > TOLERANCE && rect.width > 0 && !parent.matches(STRIPS)) {
      report("overflows", element, over);
    }
  };

  const checkClipping = (element) => {
    const style = getComputedStyle(element);
    const wide = element.scrollWidth - element.clientWidth;
    const high = element.scrollHeight - element.clientHeight;
    const isExempt = element.matches(`input, select, textarea, video, canvas, img, ${STRIPS}`);
    if (isExempt || style.display === "inline") {
      return;
    }
    if (/^(auto|scroll)$/.test(style.overflowX) && wide > TOLERANCE) {
      report("scrolls sideways", element, wide);
      return;
    }
    const isCut =
      (/^(hidden|clip)$/.test(style.overflowX) && wide > TOLERANCE) ||
      (/^(hidden|clip)$/.test(style.overflowY) && high > TOLERANCE);
    if (!isCut) {
      return;
    }
    if (!isShortened(style)) {
      report("is cut off", element, Math.max(wide, high));
    } else if (!element.closest("[title]")) {
      report("is shortened, and no title shows all of it", element);
    }
  };

  /** Returns the boxes of an element's own text, one for each line. */
  const linesOf = (element) => {
    const range = document.createRange();
    const texts = [...element.childNodes].filter(
      (node) => node.nodeType === Node.TEXT_NODE && node.data.trim(),
    );
    return texts.flatMap((node) => {
      range.selectNodeContents(node);
      return [...range.getClientRects()];
    });
  };

  const shown = [...root.querySelectorAll("*")].filter(isShown);
  const boxes = [];
  for (const element of shown) {
    checkOverflow(element);
    checkClipping(element);
    const layer = layerOf(element);
    if (element.matches(CONTROLS)) {
      const part = visiblePart(element.getBoundingClientRect(), element.parentElement);
      if (part) {
        boxes.push({ element, layer, ...part });
      }
    }
    for (const line of linesOf(element)) {
      const part = visiblePart(line, element);
      const container = contentBox(
        /^inline/.test(getComputedStyle(element).display)
          ? (containerOf(element) ?? element)
          : element,
      );
      if (part && Math.max(container.left - part.left, part.right - container.right) > TOLERANCE) {
        report("has text that overflows", element, part.right - container.right);
      }
      if (part && (part.right > innerWidth + TOLERANCE || part.left < -TOLERANCE)) {
        report("is outside of the window", element);
      }
      if (part && !element.closest(CONTROLS)) {
        boxes.push({ element, layer, ...part });
      }
    }
  }
  const areRelated = (a, b) => a.contains(b) || b.contains(a);
  boxes.forEach((a, index) => {
    for (const b of boxes.slice(index + 1)) {
      const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (
        a.layer === b.layer &&
        width > TOLERANCE &&
        height > TOLERANCE &&
        !areRelated(a.element, b.element)
      ) {
        report(`covers ${describe(b.element)}`, a.element, Math.min(width, height));
      }
    }
  });
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) {
    report("is wider than the window", document.documentElement, scrollWidth - clientWidth);
  }
  return [...new Set(faults)];
}
