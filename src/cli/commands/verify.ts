/** `vene verify`: an intervention's files against their digests, its signature, and what it generates against the record. */
import { Option } from "commander";
import type { InstalledReport, RunReport, SignatureAnswer, SignaturePolicy, VerifyingKey } from "../../index.ts";
import { UsageError } from "../failures.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { openModel } from "../loading.ts";
import { printNotices } from "../notices.ts";
import { listValue } from "../option-values.ts";
import { Progress } from "../progress.ts";
import { pullingOptions } from "../pulling.ts";
import { replayFailure, replayTable } from "../replay.ts";
import { renderFacts, renderTable } from "../table.ts";

interface VerifyFlags {
  readonly run?: true;
  readonly model?: string;
  readonly signature: SignaturePolicy;
  readonly key?: readonly string[];
  readonly namespace?: string;
}

const notes = `
Hashes every file again. --run generates the answers that the intervention's maker recorded, greedily, and compares them
token by token. Signatures are held against your keys (vene keys list) and those of --key. The exit code is 1 where
something does not hold. --json prints { name, folder, files, signature, run, notices }; files have { name, state, sha256,
size, expected }, signature { status, keyid }, run (or null) { answers, same, sameBase }.

Examples:
  $ vene verify ./cheerful
  $ vene verify ./cheerful --run --model HuggingFaceTB/SmolLM2-135M-Instruct
  $ vene verify ./cheerful --signature require --key alice.pub
`;

export const defineVerifyArtefact: DefineCommand = (command, context) => {
  command
    .description("Checks an intervention: its files, its signature, and that it still does what it did.")
    .argument("<intervention>", "folder, name in a registry, or Hub id")
    .option("--run", "generate what the intervention records, and compare; needs --model")
    .option("--model <source>", "the model for --run: a checkpoint folder or a Hub id")
    .addOption(
      new Option("--signature <policy>", "what is wrong with signatures: ignored, a notice, an error")
        .choices(["off", "warn", "require"])
        .default("warn"),
    )
    .option("--key <file>", "a public key to trust this time; may be repeated", listValue)
    .option("--namespace <namespace>", "whose it is: its key is remembered, and another one refused")
    .addHelpText("after", notes)
    .action(async (source: string, flags: VerifyFlags) => verify(source, flags, context()));
};

async function verify(source: string, flags: VerifyFlags, context: CommandContext): Promise<void> {
  if ((flags.run === true) !== (flags.model !== undefined)) {
    throw new UsageError("--run and --model go together", "name the model whose answers are compared");
  }
  const { locateIntervention, verifyInstalled } = await import("../../index.ts");
  const progress = new Progress(context);
  const { folder, notices } = await locateIntervention(source, pullingOptions(context, progress)).finally(() =>
    progress.clear(),
  );
  const installed = await verifyInstalled(folder);
  await refuseChanged(installed);
  const signature = await checkSigned(folder, flags, context);
  const run = flags.model === undefined ? null : await replay(folder, flags.model, context, progress);
  printNotices([...notices, ...signature.notices, ...(run?.notices ?? [])], context);
  if (context.json) return printJson(installed, signature, run, context);
  const states = [{ title: "file" }, { title: "state" }, { title: "sha256" }];
  const rows = installed.files.map(({ name, state, sha256 }) => [name, state, sha256 ?? ""]);
  const facts = renderFacts([
    ["name", installed.name],
    ["signature", signature.keyid === undefined ? signature.status : `valid, by ${signature.keyid}`],
  ]);
  context.stdout.write(`${facts}\n${renderTable(states, rows)}`);
  if (run !== null) context.stdout.write(`\n${replayTable(run)}`);
}

async function refuseChanged({ name, files, intact, folder }: InstalledReport): Promise<void> {
  if (intact) return;
  const { VeneError } = await import("../../index.ts");
  const faults = files.filter(({ state }) => state === "changed" || state === "missing");
  const shown = faults.slice(0, 8).map((file) => `${file.name} is ${file.state}`);
  throw new VeneError("registry-integrity", `${name}: ${shown.join(", ")}${faults.length > 8 ? ", ..." : ""}`, {
    hint: "fetch it again; if you changed it yourself, save or sign it again",
    details: { folder, files },
  });
}

async function checkSigned(folder: string, flags: VerifyFlags, { env }: CommandContext): Promise<SignatureAnswer> {
  const { listKeys, publisherKeyOf, readVerifyingKey, signingPlaces, verifySignature } = await import("../../index.ts");
  const { keys: keysFolder, pins } = signingPlaces(env);
  const trusted: VerifyingKey[] = flags.signature === "off" ? [] : await listKeys(keysFolder);
  for (const file of flags.key ?? []) trusted.push(await readVerifyingKey(file));
  const keys = trusted.map((key) => publisherKeyOf(key, ["*"]));
  return verifySignature(folder, { keys, policy: flags.signature, namespace: flags.namespace, pins });
}

/** Throws `registry-integrity` where an answer differs. */
async function replay(folder: string, source: string, context: CommandContext, progress: Progress): Promise<RunReport> {
  const { verifyRun } = await import("../../index.ts");
  const model = await openModel(source, context, progress);
  try {
    const report = await verifyRun(folder, model, { signal: context.interrupt.signal });
    if (!report.same) throw await replayFailure(report);
    return report;
  } finally {
    progress.clear();
    await model.release();
  }
}

function printJson(
  { name, folder, files }: InstalledReport,
  signature: SignatureAnswer,
  run: RunReport | null,
  { stdout }: CommandContext,
): void {
  const replayed = run === null ? null : { answers: run.answers, same: run.same, sameBase: run.sameBase };
  const { status, keyid } = signature;
  const json = { name, folder, files, signature: { status, keyid: keyid ?? null }, run: replayed };
  stdout.write(`${JSON.stringify({ ...json, notices: [...signature.notices, ...(run?.notices ?? [])] })}\n`);
}
