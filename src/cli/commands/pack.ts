/** `vene pack`: an intervention as one .tgz whose bytes depend on its files alone. */
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";
import { Progress } from "../progress.ts";
import { pullingOptions } from "../pulling.ts";
import { renderFacts, renderTable } from "../table.ts";

const notes = `
Packed are the intervention's own files and no others: manifest, tensors, card, signature, and what pyvene loads. The same
files give the same bytes on every machine, so that the digest can be passed on. --json prints { file, size, sha256, files,
notices }; files have { name, size, sha256 }.

Examples:
  $ vene pack ./cheerful
  $ vene pack lab/honest-smollm2 honest.tgz
`;

export const definePack: DefineCommand = (command, context) => {
  command
    .description("Packs an intervention as one file.")
    .argument("<intervention>", "folder, name in a registry, or Hub id")
    .argument("[file]", "the file to write (default: its name and .tgz)")
    .addHelpText("after", notes)
    .action(async (source: string, file: string | undefined) => pack(source, file, context()));
};

async function pack(source: string, given: string | undefined, context: CommandContext): Promise<void> {
  const { locateIntervention, packBundle, readArtefact } = await import("../../index.ts");
  const progress = new Progress(context);
  const { folder, notices: found } = await locateIntervention(source, pullingOptions(context, progress)).finally(() =>
    progress.clear(),
  );
  const file = given ?? `${(await readArtefact(folder)).artefact.manifest.name}.tgz`;
  context.interrupt.hold();
  const { size, sha256, files, notices } = await packBundle(folder, file);
  printNotices([...found, ...notices], context);
  if (context.json) {
    return context.stdout.write(`${JSON.stringify({ file, size, sha256, files, notices: [...found, ...notices] })}\n`);
  }
  const columns = [{ title: "file" }, { title: "bytes", align: "right" }, { title: "sha256" }] as const;
  const rows = files.map((one) => [one.name, String(one.size), one.sha256]);
  const facts = [
    ["bundle", file],
    ["bytes", String(size)],
    ["sha256", sha256],
  ] as const;
  context.stdout.write(`${renderFacts(facts)}\n${renderTable(columns, rows)}`);
}
