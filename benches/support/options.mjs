// The command lines of benchmarks.
import { parseArgs } from "node:util";

/**
 * What `understand` makes of the command line, which may have `most` words that are no options;
 * ends the program when that is help, or nothing.
 */
export function readOptions(usage, options, understand, most = 0) {
  try {
    const help = { type: "boolean", short: "h", default: false };
    const { values, positionals } = parseArgs({
      options: { ...options, help },
      allowPositionals: true,
    });
    if (values.help) {
      process.stdout.write(usage);
      process.exit(0);
    }
    if (positionals.length > most) {
      throw new Error(`what is "${positionals.at(-1)}"?`);
    }
    return understand(values, ...positionals);
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n\n${usage}`);
    process.exit(64);
  }
}

/** A value of the command line that has to be a number. */
export function number(name, text) {
  const value = Number(text);
  if (!(value >= 0) || text === "") {
    throw new Error(`${name}: not a number from 0 on`);
  }
  return value;
}

/** Values with commas between them, each of which has to be one of `names`. */
export function selection(name, text, names) {
  const all = text.split(",");
  const stranger = all.find((each) => !names.includes(each));
  if (stranger !== undefined) {
    throw new Error(`${name}: there is no "${stranger}", but ${names.join(", ")}`);
  }
  return all;
}

/** Without MediaMTX, when there is no program for it. */
export function available(names) {
  if (!names.includes("mediamtx") || process.env.MEDIAMTX_BIN) {
    return names;
  }
  process.stderr.write("mediamtx: left out, as MEDIAMTX_BIN names no program\n");
  return names.filter((name) => name !== "mediamtx");
}
