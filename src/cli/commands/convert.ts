/** `vene convert`: pyvene's saves, PEFT's LoRA, SAEs and files of vectors to format 1, and back to pyvene. */
import { readdir, realpath, stat } from "node:fs/promises";
import type { Artefact } from "../../index.ts";
import {
  addConvertOptions,
  type ConvertFlags,
  known,
  type Source,
  saeOptions,
  type Target,
  targetOf,
  vectorOptions,
} from "../convert-options.ts";
import { UsageError } from "../failures.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";

const examples = `
What <from> is shows from its content: a folder that pyvene saved, a folder in vene's format, a LoRA that PEFT saved, a
sparse autoencoder that SAELens saved or a params.npz of Gemma Scope, or a torch file with a dict of layer to vector, as
torch.save({layer: vector}) writes it. The result is written whole or not at all. A folder that holds an intervention is
replaced with --force only; one that holds anything else never is.

Nothing is guessed for a file of vectors: --name, --base-model, --architecture, --layers, --hidden-size and --module
have to be given. In --module {layer} stands for the layer's number; layers whose vector is zero are left out. A
params.npz needs --layer and --component. For the others, the options replace what is recorded.

Examples:
  $ vene convert ./saved-by-pyvene ./cheerful --base-model HuggingFaceTB/SmolLM2-135M-Instruct --license apache-2.0
  $ vene convert ./cheerful ./for-pyvene --to pyvene
  $ vene convert ./lora-adapter ./concise --name concise --license apache-2.0
  $ vene convert layer_20/width_16k/average_l0_71/params.npz ./scope --layer 20 --component block_output \\
      --name gemma-scope-2b-20 --base-model google/gemma-2-2b
  $ vene convert honest_llama2_chat_7B_o_proj_add_activations.bin ./honest-llama2-chat-7b --name honest-llama2-chat-7b \\
      --base-model meta-llama/Llama-2-7b-chat-hf --architecture llama --layers 32 --hidden-size 4096 \\
      --module "model.layers[{layer}].self_attn.o_proj.output" --license apache-2.0
`;

export const defineConvert: DefineCommand = (command, context) => {
  command
    .description(
      "Converts an intervention: what pyvene, PEFT or SAELens saved, or a file of vectors, to vene's format; or that to pyvene's.",
    )
    .argument("<from>", "folder, torch file or params.npz")
    .argument("<to>", "folder to write");
  addConvertOptions(command)
    .addHelpText("after", examples)
    .action(async (from: string, to: string, flags: ConvertFlags) => convert(from, to, flags, context()));
};

async function convert(from: string, to: string, flags: ConvertFlags, context: CommandContext): Promise<void> {
  const read = await readAny(from, flags);
  const target = targetOf(read.source, flags);
  if (read.source === "format1" && target === "pyvene") await refuseSamePlace(from, to);
  await refuseToReplace(to, flags);
  const written = await write(to, read.artefact, target, flags, context);
  const notices = [...read.notices, ...written.notices];
  printNotices(notices, context);
  const { stdout } = context;
  if (context.json) {
    const { name } = read.artefact.manifest;
    const result = { from, to, source: read.source, format: target, name, files: written.files, notices };
    stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  stdout.write(`wrote ${to} (${target === "vene" ? "vene, format 1" : "pyvene"})\n`);
  for (const file of written.files) stdout.write(`  ${file}\n`);
}

/** pyvene's files cannot say all that format 1 says: never in its place. */
async function refuseSamePlace(from: string, to: string): Promise<void> {
  const places = await Promise.all([from, to].map((path) => realpath(path).catch(() => undefined)));
  if (places[0] !== undefined && places[0] === places[1]) {
    throw new UsageError(`${from} and ${to} are the same place`, "convert to another folder");
  }
}

interface Read {
  readonly artefact: Artefact;
  readonly source: Source;
  readonly notices: readonly string[];
}

async function readAny(from: string, flags: ConvertFlags): Promise<Read> {
  const { importSae, importVectorDict, isSae, readArtefact } = await import("../../index.ts");
  const status = await stat(from).catch(() => undefined);
  if (status !== undefined && (await isSae(from))) {
    refuseOption("module", "--module is for files of vectors", flags);
    const { artefact, notices } = await importSae(from, saeOptions(flags));
    return { artefact: relabelled(artefact, flags), source: "sae", notices };
  }
  refuseOption("layer", "--layer is for SAEs", flags);
  refuseOption("component", "--component is for SAEs", flags);
  if (status !== undefined && !status.isDirectory()) {
    return { artefact: await importVectorDict(from, vectorOptions(flags)), source: "vectors", notices: [] };
  }
  refuseOption("module", "--module is for files of vectors", flags);
  const { artefact, source, notices } = await readArtefact(from);
  return { artefact: relabelled(artefact, flags), source, notices };
}

function refuseOption(key: "module" | "layer" | "component", why: string, flags: ConvertFlags): void {
  if (flags[key] !== undefined) throw new UsageError(why, "what <from> is says itself where it belongs");
}

/** With what the options say in place of what is recorded; checked when it is written. */
function relabelled({ manifest, tensors }: Artefact, flags: ConvertFlags): Artefact {
  const { name, license, summary, baseModel: model, architecture, layers, hiddenSize } = flags;
  const base = { ...manifest.base, ...known({ model, architecture, layers, hiddenSize }) };
  return { manifest: { ...manifest, ...known({ name, license, summary }), base }, tensors };
}

/** The writer itself refuses folders that hold anything but an intervention; this asks before replacing one, too. */
async function refuseToReplace(to: string, { force }: ConvertFlags): Promise<void> {
  if (force === true) return;
  const found = await readdir(to).catch(() => []);
  if (found.length === 0) return;
  const { VeneError } = await import("../../index.ts");
  throw new VeneError("write-failed", `${to} is not empty: it holds ${found.sort().slice(0, 8).join(", ")}`, {
    hint: "--force replaces an intervention; a folder that holds anything else is never replaced",
    details: { path: to, found: found.slice(0, 8) },
  });
}

async function write(
  to: string,
  artefact: Artefact,
  target: Target,
  flags: ConvertFlags,
  { interrupt }: CommandContext,
): Promise<{ readonly files: readonly string[]; readonly notices: readonly string[] }> {
  const { writeArtefact, writePyvene } = await import("../../index.ts");
  // Small files: written to the end even when interrupted, so that nothing is left half-written.
  interrupt.hold();
  try {
    return await (target === "pyvene"
      ? writePyvene(to, artefact)
      : writeArtefact(to, artefact, { pyvene: flags.pyvene }));
  } finally {
    interrupt.letGo();
  }
}
