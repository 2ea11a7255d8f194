// Draws the pictures that the cameras in the screenshots show, so that no real place appears in them.

/** The colours for each light: top of the sky, bottom of the sky, ground. */
const SKIES = {
  day: ["#9db8cf", "#dfe8ec", "#8d9a86"],
  evening: ["#3a4763", "#c58f74", "#4b4a48"],
  night: ["#10151d", "#27303a", "#22282b"],
  inside: ["#c9c5bb", "#b5b0a5", "#8f8a80"],
};

const box = (x, y, width, height, fill, more = "") =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${fill}" ${more}/>`;
const tree = (x, y, size, fill = "#4c6650") =>
  `${box(x - size / 14, y, size / 7, size / 1.6, "#5a4a3c")}<circle cx="${x}" cy="${y - size / 6}" r="${size / 2.4}" fill="${fill}"/>`;
const car = (x, y, size, fill) =>
  `<path d="M${x} ${y}h${size}v-${size / 6}l-${size / 7}-${size / 16}l-${size / 6}-${size / 7}h-${size / 2.6}l-${size / 6}-${-size / 7}z" fill="${fill}"/>` +
  [0.22, 0.78]
    .map((at) => `<circle cx="${x + size * at}" cy="${y}" r="${size / 11}" fill="#1d2022"/>`)
    .join("");
const house = (x, y, width, height, wall, roof) =>
  `${box(x, y, width, height, wall)}<path d="M${x - 20} ${y}l${width / 2 + 20}-${height / 2}l${width / 2 + 20} ${height / 2}z" fill="${roof}"/>` +
  `${box(x + width * 0.14, y + height * 0.25, width * 0.2, height * 0.28, "#e9dfb8")}${box(x + width * 0.6, y + height * 0.3, width * 0.22, height * 0.7, "#5b4436")}`;
const shelves = (x) =>
  [0, 1, 2, 3]
    .map(
      (row) =>
        box(x, 170 + row * 95, 250, 8, "#6a6459") +
        [0, 1, 2]
          .map((one) =>
            box(
              x + 12 + one * 80,
              118 + row * 95,
              62,
              52,
              ["#a8805a", "#8f9aa3", "#b59b72"][(one + row) % 3],
            ),
          )
          .join(""),
    )
    .join("");

const STEPS = [0, 1, 2, 3, 4, 5, 6]
  .map((one) =>
    box(260 + one * 90, 600 - one * 60, 760 - one * 90, 60, one % 2 ? "#a49d90" : "#b3ac9f"),
  )
  .join("");

/** The scenes: name of the camera, light (a key of SKIES), and SVG of everything except sky and ground. */
export const SCENES = [
  [
    "Front door",
    "day",
    house(420, 250, 420, 330, "#d9d2c4", "#7a4f43") + tree(200, 400, 230) + tree(1060, 420, 190),
  ],
  [
    "Driveway",
    "day",
    `<path d="M480 720L600 400h90l180 320z" fill="#7b7e80"/>` +
      house(60, 280, 300, 220, "#cfc8bb", "#5d6570") +
      car(560, 590, 260, "#37566f") +
      tree(1010, 390, 240),
  ],
  [
    "Garden",
    "evening",
    tree(220, 420, 290, "#3d4f41") +
      tree(980, 400, 330, "#37483c") +
      box(420, 470, 420, 14, "#6b5542") +
      box(450, 484, 16, 70, "#6b5542") +
      box(800, 484, 16, 70, "#6b5542"),
  ],
  [
    "Car park",
    "day",
    [0, 1, 2, 3, 4].map((one) => box(80 + one * 250, 460, 6, 210, "#e6e8e6")).join("") +
      car(110, 620, 190, "#8c3f3b") +
      car(610, 620, 190, "#dadde0") +
      car(862, 620, 190, "#3d4a44"),
  ],
  [
    "Loading bay",
    "inside",
    box(120, 160, 320, 400, "#767e83") +
      box(500, 160, 320, 400, "#767e83") +
      [0, 1, 2, 3, 4, 5]
        .map(
          (one) =>
            box(120, 200 + one * 60, 320, 4, "#61696e") +
            box(500, 200 + one * 60, 320, 4, "#61696e"),
        )
        .join("") +
      box(900, 430, 220, 150, "#b08a4f"),
  ],
  ["Warehouse", "inside", shelves(70) + shelves(500) + shelves(930)],
  [
    "Gate",
    "evening",
    [...Array(16).keys()].map((one) => box(240 + one * 52, 300, 10, 300, "#20262a")).join("") +
      box(220, 320, 830, 12, "#20262a") +
      box(220, 560, 830, 12, "#20262a") +
      box(160, 270, 60, 340, "#8a7f73") +
      box(1050, 270, 60, 340, "#8a7f73"),
  ],
  [
    "Back yard",
    "night",
    house(700, 300, 400, 280, "#39424a", "#20272d") +
      `<circle cx="340" cy="330" r="300" fill="#f4e3a8" opacity="0.10"/><circle cx="340" cy="330" r="12" fill="#fff3c9"/>` +
      box(334, 340, 12, 260, "#14191c") +
      tree(140, 430, 220, "#1d2a24"),
  ],
  ["Stairs", "inside", `${STEPS}<path d="M260 520L890 120" stroke="#5c544a" stroke-width="14"/>`],
];

/** Returns a scene as an SVG of 1280 by 720 pixels. */
export function picture([, light, objects]) {
  const [top, low, ground] = SKIES[light];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1280 720" width="1280" height="720">
    <defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="${top}"/><stop offset="1" stop-color="${low}"/></linearGradient>
    <radialGradient id="lens"><stop offset="0.6" stop-opacity="0"/><stop offset="1" stop-opacity="0.1"/></radialGradient></defs>
    ${box(0, 0, 1280, 560, "url(#sky)")}${box(0, 560, 1280, 160, ground)}${objects}${box(0, 0, 1280, 720, "url(#lens)")}</svg>`;
}
