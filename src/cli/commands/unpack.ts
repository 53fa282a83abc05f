/** `vene unpack`: a bundle as a folder that appears whole and checked, or not at all. */
import { UsageError } from "../failures.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { renderFacts } from "../table.ts";

const notes = `
Before the folder appears every name, size and digest is checked, and the intervention is read in full. Archives with
links, folders, other files or anything after their end are refused. An intervention that is there is replaced, a folder
that holds anything else is not. --json prints { name, folder, files }; files have { name, size, sha256 }.

Examples:
  $ vene unpack honest.tgz ./honest
  $ vene unpack honest.tgz ./honest --sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
`;

export const defineUnpack: DefineCommand = (command, context) => {
  command
    .description("Unpacks an intervention that vene pack made one file of.")
    .argument("<file>", "the .tgz")
    .argument("<folder>", "the folder to make of it")
    .option("--sha256 <digest>", "refuse any other file: 64 hexadecimal digits")
    .addHelpText("after", notes)
    .action(async (file: string, folder: string, flags: { readonly sha256?: string }) =>
      unpack(file, folder, flags, context()),
    );
};

async function unpack(
  file: string,
  folder: string,
  flags: { readonly sha256?: string },
  { interrupt, json, stdout }: CommandContext,
): Promise<void> {
  const sha256 = flags.sha256?.toLowerCase();
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) {
    throw new UsageError("--sha256 takes 64 hexadecimal digits", "vene pack prints them");
  }
  const { unpackBundle } = await import("../../index.ts");
  interrupt.hold();
  const { manifest, files } = await unpackBundle(file, folder, { sha256 });
  if (json) return stdout.write(`${JSON.stringify({ name: manifest.name, folder, files })}\n`);
  stdout.write(
    renderFacts([
      ["name", manifest.name],
      ["summary", manifest.summary],
      ["folder", folder],
      ["files", files.map(({ name }) => name).join(", ")],
    ]),
  );
}
