/** `vene inspect`: what an artefact, a model or a file of vectors is. */
import { stat } from "node:fs/promises";
import type { ModelDType } from "../../index.ts";
import { UsageError } from "../failures.ts";
import type { Measured } from "../inspection/perplexity.ts";
import type { Report } from "../inspection/report.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { openModel } from "../loading.ts";
import { printNotices } from "../notices.ts";
import { dtypeValue } from "../option-values.ts";
import { Progress } from "../progress.ts";
import { pullingOptions } from "../pulling.ts";

const examples = `
Told apart by content: a folder with intervention.json or pyvene's config.json is an intervention, one with a model's
config.json is a model, a file .onnx is one, too, and other files hold tensors (torch .bin/.pt, .safetensors, .gguf).
Nothing in them is executed.

--json prints one object; "is" says which kind: artefact, model or tensors. With --perplexity a model's has
"perplexity", a list of { dtype, perplexity, tokens, scored, window, stride }.

Examples:
  $ vene inspect ./cheerful
  $ vene inspect ./SmolLM2-135M-Instruct --json
  $ vene inspect ./SmolLM2-135M-Instruct --perplexity some-english.txt
  $ vene inspect ./exported/onnx/model.onnx
  $ vene inspect lab/honest-smollm2@v1
  $ vene inspect honest_llama2_chat_7B_o_proj_add_activations.bin
`;

export const defineInspect: DefineCommand = (command, context) => {
  command
    .description(
      "Says what an intervention, a model or a file of vectors is: sites, sizes, norms, dtypes, digests, base.",
    )
    .argument("<source>", "folder, file, or Hub id: org/name or org/name@revision")
    .option("--perplexity <file>", "of a model: also say how well it predicts a text, at each dtype")
    .option("--dtype <dtype>", "with --perplexity: only at fp32, q8 or q4", dtypeValue)
    .addHelpText("after", examples)
    .action(async (source: string, flags: InspectFlags) => inspect(source, flags, context()));
};

interface InspectFlags {
  readonly perplexity?: string;
  readonly dtype?: ModelDType;
}

async function inspect(source: string, flags: InspectFlags, context: CommandContext): Promise<void> {
  if (flags.dtype !== undefined && flags.perplexity === undefined) {
    throw new UsageError("--dtype needs --perplexity", "what a model is does not depend on it");
  }
  const report = await describe(source, context);
  const { json, text, notices } =
    flags.perplexity === undefined ? report : await measured(source, report, flags.perplexity, flags.dtype, context);
  printNotices(notices, context);
  context.stdout.write(context.json ? `${JSON.stringify(json)}\n` : text);
}

async function describe(source: string, context: CommandContext): Promise<Report> {
  const status = await stat(source).catch(() => undefined);
  if (status !== undefined)
    return status.isDirectory() ? describeFolder(source, source, context) : describeFile(source, context);
  const { locateIntervention } = await import("../../index.ts");
  const progress = new Progress(context);
  try {
    const { folder, notices } = await locateIntervention(source, pullingOptions(context, progress));
    progress.clear();
    const report = await describeFolder(folder, source, context);
    return { ...report, notices: [...notices, ...report.notices] };
  } finally {
    context.interrupt.letGo();
    progress.clear();
  }
}

async function describeFile(path: string, context: CommandContext): Promise<Report> {
  if (path.endsWith(".onnx")) return describeBase(path, context);
  const { describeTensorFile } = await import("../inspection/tensor-file.ts");
  return describeTensorFile(path);
}

/** `source` is what the folder was given as: its own path, or the id on the Hub that also has the rest of a model. */
async function describeFolder(folder: string, source: string, context: CommandContext): Promise<Report> {
  const { readArtefact, VeneError } = await import("../../index.ts");
  try {
    const { describeArtefact } = await import("../inspection/artefact.ts");
    return await describeArtefact(await readArtefact(folder));
  } catch (thrown) {
    const found: unknown = thrown instanceof VeneError && thrown.code === "artefact-missing" && thrown.details["found"];
    if (!Array.isArray(found) || !found.includes("config.json")) throw thrown;
  }
  return describeBase(source, context);
}

async function describeBase(source: string, context: CommandContext): Promise<Report> {
  const { describeModel } = await import("../inspection/model.ts");
  const model = await openModel(source, context, new Progress(context));
  try {
    return describeModel(model);
  } finally {
    await model.release();
  }
}

/** The report of a model with its perplexity on a text, at one dtype or at all: one model in memory at a time. */
async function measured(
  source: string,
  report: Report,
  path: string,
  dtype: ModelDType | undefined,
  context: CommandContext,
): Promise<Report> {
  if (report.json.is !== "model") {
    throw new UsageError(`--perplexity needs a model, ${source} is something else`, "give the folder or id of a model");
  }
  const { measure, readText, withPerplexity } = await import("../inspection/perplexity.ts");
  const { modelDTypes } = await import("../../index.ts");
  const text = await readText(path);
  const progress = new Progress(context);
  const all: Measured[] = [];
  try {
    for (const each of dtype === undefined ? modelDTypes : [dtype]) {
      const model = await openModel(source, context, progress, { dtype: each });
      try {
        const { signal } = context.interrupt;
        all.push(await measure(model, text, { signal, onProgress: (event) => progress.report(event) }));
      } finally {
        await model.release();
      }
    }
  } finally {
    context.interrupt.letGo();
    progress.clear();
  }
  return withPerplexity(report, all);
}
