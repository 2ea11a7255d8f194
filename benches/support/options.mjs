// Command lines of benchmarks.
import { parseArgs } from "node:util";

/**
 * Parses the command line. Returns the result of `convert`, which gets the options and up to
 * `maxPositionals` other arguments. Prints the usage and exits if the command line is invalid or has
 * `--help`.
 */
export function readOptions(usage, options, convert, maxPositionals = 0) {
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
    if (positionals.length > maxPositionals) {
      throw new Error(`unexpected argument "${positionals.at(-1)}"`);
    }
    return convert(values, ...positionals);
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n\n${usage}`);
    process.exit(64);
  }
}

/** Returns the number in a string. Throws if the string is not a number, or the number is negative. */
export function number(name, text) {
  const value = Number(text);
  if (!(value >= 0) || text === "") {
    throw new Error(`${name}: "${text}" is not a non-negative number`);
  }
  return value;
}

/** Returns the items of a comma-separated list. Throws if an item is not among `names`. */
export function selection(name, text, names) {
  const selected = text.split(",");
  const unknown = selected.find((item) => !names.includes(item));
  if (unknown !== undefined) {
    throw new Error(`${name}: "${unknown}" is not one of ${names.join(", ")}`);
  }
  return selected;
}

/** The environment variable with the program of a candidate, by the beginning of the candidate's name. */
const PROGRAMS = { mediamtx: "MEDIAMTX_BIN", go2rtc: "GO2RTC_BIN" };

/** Returns the names, without those whose program is not set in the environment. */
export function available(names) {
  return names.filter((name) => {
    const variable = PROGRAMS[name.split("-")[0]];
    const isAvailable = !variable || Boolean(process.env[variable]);
    if (!isAvailable) {
      process.stderr.write(`${name}: skipped, because ${variable} is not set\n`);
    }
    return isAvailable;
  });
}
