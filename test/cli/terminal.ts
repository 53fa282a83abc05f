/** Runs the command line in process against streams in memory. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CliIo } from "../../src/cli/io.ts";
import { runCli } from "../../src/cli/run.ts";

export const repository = fileURLToPath(new URL("../..", import.meta.url));
export const tiny = join(repository, "examples", "truthful-tiny");
export const honest = join(tiny, "honest");

/** A fresh folder; the system clears them. */
export function scratch(): string {
  return mkdtempSync(join(tmpdir(), "vene-cli-"));
}

/** Converted weights of all tests in a file go here. */
const cache = scratch();

export interface Setting {
  readonly stdin?: string | Uint8Array;
  readonly stdinIsTerminal?: boolean;
  readonly stdoutIsTerminal?: boolean;
  readonly stderrIsTerminal?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Ctrl-C: called at each write to stdout and each time it is held, with what happened. */
  readonly onEvent?: (event: "stdout" | "hold", controller: AbortController) => void;
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** hold and letGo, in order. */
  readonly interrupts: readonly ("hold" | "letGo")[];
}

export async function vene(argv: readonly string[], setting: Setting = {}): Promise<Outcome> {
  const written = { out: "", err: "" };
  const interrupts: ("hold" | "letGo")[] = [];
  const controller = new AbortController();
  const { stdin } = setting;
  const io: CliIo = {
    stdin: (async function* () {
      if (stdin !== undefined) yield stdin;
    })(),
    stdinIsTerminal: setting.stdinIsTerminal ?? stdin === undefined,
    stdout: {
      isTerminal: setting.stdoutIsTerminal ?? false,
      write(text) {
        written.out += text;
        setting.onEvent?.("stdout", controller);
      },
    },
    stderr: {
      isTerminal: setting.stderrIsTerminal ?? false,
      write(text) {
        written.err += text;
      },
    },
    env: { VENE_CACHE: cache, ...setting.env },
    interrupt: {
      signal: controller.signal,
      hold() {
        interrupts.push("hold");
        setting.onEvent?.("hold", controller);
      },
      letGo: () => void interrupts.push("letGo"),
    },
  };
  const code = await runCli(argv, io);
  return { code, ...written, interrupts };
}

/** Runs with --json and parses what must be exactly one line. */
export async function veneJson(argv: readonly string[], setting: Setting = {}) {
  const outcome = await vene([...argv, "--json"], setting);
  if (!/^[^\n]+\n$/.test(outcome.out)) throw new Error(`not one line: ${JSON.stringify(outcome.out)} ${outcome.err}`);
  return { ...outcome, json: JSON.parse(outcome.out) };
}

export const ESC = "\u001b";
