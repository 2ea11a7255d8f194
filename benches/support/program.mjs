// Builds the programs of benchmarks that are written in Rust.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { progress } from "./report.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Time limit of a build. The whole service is part of each program. */
const BUILD_SECONDS = 3600;

/** Builds the program of a benchmark, which has this name in Cargo.toml. Returns the path of the executable. */
export function buildProgram(name) {
  progress(`building the program ${name}, which can take some minutes`);
  const args = ["bench", "--no-run", "--bench", name, "--locked", "--quiet"];
  const output = execFileSync("cargo", [...args, "--message-format=json"], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 1e9,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: BUILD_SECONDS * 1000,
  });
  const artifacts = output.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return artifacts.find(({ target, executable }) => target?.name === name && executable).executable;
}
