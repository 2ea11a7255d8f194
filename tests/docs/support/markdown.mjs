// Parses the parts of Markdown that the tests of the pages need: code blocks, headings and links.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Folders whose pages do not belong to the project. */
const IGNORED = new Set(["node_modules", "target", "dist"]);

/** Returns the paths of all pages, relative to the project's directory. */
export function pages(directory = ROOT) {
  return readdirSync(directory, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith(".") && !IGNORED.has(name))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) {
        return pages(path);
      }
      return entry.name.endsWith(".md") ? [relative(ROOT, path)] : [];
    })
    .sort();
}

/** Returns the text of a page. */
export const read = (page) => readFileSync(join(ROOT, page), "utf8");

/** Returns the fenced code blocks of a page, each with its language, its text without indentation, and its line. */
export function blocks(page) {
  const found = [];
  let open = null;
  for (const [index, line] of read(page).split("\n").entries()) {
    const fence = /^( *)```(\S*)\s*$/.exec(line);
    if (open && fence && fence[2] === "") {
      found.push({ ...open, text: open.lines.join("\n") });
      open = null;
    } else if (open) {
      open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line.trimStart());
    } else if (fence) {
      open = { page, language: fence[2], indent: fence[1], line: index + 1, lines: [] };
    }
  }
  if (open) {
    throw new Error(`${page}:${open.line}: the code block has no end`);
  }
  return found;
}

/** Returns the text of a page without its code. */
function prose(page) {
  return read(page)
    .replace(/^( *)```[\s\S]*?^\1```$/gm, "")
    .replace(/`[^`\n]*`/g, "`code`");
}

/** Returns the anchors that GitHub gives to the headings of a page. */
export function anchors(page) {
  const seen = new Map();
  const headings = read(page)
    .replace(/^( *)```[\s\S]*?^\1```$/gm, "")
    .matchAll(/^#{1,6} +(.+?) *$/gm);
  return new Set(
    [...headings].map(([, heading]) => {
      const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[`*]/g, "");
      const slug = text.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count === 0 ? slug : `${slug}-${count}`;
    }),
  );
}

/** Returns the links and pictures of a page that refer to files of the project. */
export function links(page) {
  return [...prose(page).matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, target]) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path, anchor] = target.split("#");
      const file = path === "" ? page : relative(ROOT, join(ROOT, dirname(page), path));
      return { target, file, anchor };
    });
}
