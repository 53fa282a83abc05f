/** `vene inspect`: what an artefact, a model or a file of vectors is. */
import { stat } from "node:fs/promises";
import type { Report } from "../inspection/report.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { openModel } from "../loading.ts";
import { printNotices } from "../notices.ts";
import { Progress } from "../progress.ts";

const examples = `
Told apart by content: a folder with intervention.json or pyvene's config.json is an intervention, one with a model's
config.json is a model, and a file holds tensors (torch .bin/.pt, .safetensors, .gguf). Nothing in them is executed.

--json prints one object; "is" says which kind: artefact, model or tensors.

Examples:
  $ vene inspect ./cheerful
  $ vene inspect ./SmolLM2-135M-Instruct --json
  $ vene inspect honest_llama2_chat_7B_o_proj_add_activations.bin
`;

export const defineInspect: DefineCommand = (command, context) => {
  command
    .description(
      "Says what an intervention, a model or a file of vectors is: sites, sizes, norms, dtypes, digests, base.",
    )
    .argument("<path>", "folder or file")
    .addHelpText("after", examples)
    .action(async (path: string) => inspect(path, context()));
};

async function inspect(path: string, context: CommandContext): Promise<void> {
  const { json, text, notices } = (await isFolder(path))
    ? await describeFolder(path, context)
    : await describeFile(path);
  printNotices(notices, context);
  context.stdout.write(context.json ? `${JSON.stringify(json)}\n` : text);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    const { VeneError } = await import("../../index.ts");
    throw new VeneError("file-missing", `there is no ${path}`, {
      hint: "give the folder of an intervention or a model, or a file of vectors",
      details: { path },
      cause,
    });
  }
}

async function describeFile(path: string): Promise<Report> {
  const { describeTensorFile } = await import("../inspection/tensor-file.ts");
  return describeTensorFile(path);
}

async function describeFolder(folder: string, context: CommandContext): Promise<Report> {
  const { readArtefact, VeneError } = await import("../../index.ts");
  try {
    const { describeArtefact } = await import("../inspection/artefact.ts");
    return await describeArtefact(await readArtefact(folder));
  } catch (thrown) {
    const found: unknown = thrown instanceof VeneError && thrown.code === "artefact-missing" && thrown.details["found"];
    if (!Array.isArray(found) || !found.includes("config.json")) throw thrown;
  }
  const { describeModel } = await import("../inspection/model.ts");
  const model = await openModel(folder, context, new Progress(context));
  try {
    return describeModel(model);
  } finally {
    await model.release();
  }
}
