/** The options of `vene convert`: their definition, and what does not go together. */
import type { Command } from "commander";
import type { ImportSaeOptions, ImportVectorsOptions, ReadArtefact } from "../index.ts";
import { UsageError } from "./failures.ts";
import { countValue, indexValue } from "./option-values.ts";

/** As commander gives them. */
export interface ConvertFlags {
  readonly to?: string;
  readonly baseModel?: string;
  readonly architecture?: string;
  readonly layers?: number;
  readonly hiddenSize?: number;
  readonly module?: string;
  readonly layer?: number;
  readonly component?: string;
  readonly name?: string;
  readonly license?: string;
  readonly summary?: string;
  readonly pyvene: boolean;
  readonly force?: true;
}

export type Target = "vene" | "pyvene";

/** What the input turned out to be. */
export type Source = ReadArtefact["source"] | "vectors" | "sae";

export function addConvertOptions(command: Command): Command {
  return command
    .option("--to <format>", "vene or pyvene (default: pyvene from vene's format, vene from anything else)")
    .option("--base-model <id>", "Hub id of the model it is for")
    .option("--architecture <name>", 'model_type of that model, e.g. "llama"')
    .option("--layers <n>", "layers of that model", countValue)
    .option("--hidden-size <n>", "hidden size of that model", countValue)
    .option("--module <pattern>", "where a file's vectors are added, with {layer} for the layer's number")
    .option("--layer <n>", "layer that an SAE belongs to, from 0", indexValue)
    .option("--component <name>", "where in that layer, e.g. block_output; or a module path with its side")
    .option("--name <name>", "name of the result: lower case, digits, dashes")
    .option("--license <id>", "SPDX id of its licence")
    .option("--summary <text>", "what it does, in a sentence")
    .option("--no-pyvene", "write vene's files only, without those that pyvene loads")
    .option("--force", "replace an intervention that is already there");
}

/** What to write. Throws `UsageError` for options that the target has no place for. */
export function targetOf(source: Source, flags: ConvertFlags): Target {
  const target = flags.to ?? (source === "format1" ? "pyvene" : "vene");
  if (target !== "vene" && target !== "pyvene") {
    throw new UsageError(`--to is ${JSON.stringify(target)}`, "write --to vene or --to pyvene");
  }
  if (target === "vene") return target;
  if (!flags.pyvene) throw new UsageError("--no-pyvene leaves nothing to write with --to pyvene");
  const { name, license, summary, baseModel, architecture, layers, hiddenSize } = flags;
  const labels = Object.keys(known({ name, license, summary, baseModel, architecture, layers, hiddenSize }));
  if (source !== "vectors" && source !== "sae" && labels.length > 0) {
    throw new UsageError(`pyvene's files have no place for ${labels.map(flagOf).join(", ")}`, "use --to vene");
  }
  return target;
}

/** What importing vectors needs to be told. Throws `UsageError` naming every option that is missing. */
export function vectorOptions(flags: ConvertFlags): ImportVectorsOptions {
  const { name, baseModel, architecture, layers, hiddenSize, module, license, summary } = flags;
  const needed = { name, baseModel, architecture, layers, hiddenSize, module };
  const missing = Object.entries(needed).flatMap(([key, value]) => (value === undefined ? [flagOf(key)] : []));
  if (missing.length > 0) {
    throw new UsageError(
      `a file of vectors does not say what it is for: ${missing.join(", ")} missing`,
      "vene convert --help has an example",
    );
  }
  return { ...(needed as Required<typeof needed> as ImportVectorsOptions), ...known({ license, summary }) };
}

/** What importing an SAE may be told. */
export function saeOptions({ name, baseModel, layer, component }: ConvertFlags): ImportSaeOptions {
  return known({ name, baseModel, layer, component });
}

/** The fields that are given. */
export function known<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
