/** `vene sign`: a signature over every file of an intervention, beside them. */
import { join } from "node:path";
import { UsageError } from "../failures.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { renderFacts } from "../table.ts";

interface SignFlags {
  readonly key?: string;
  readonly subject?: string;
}

const notes = `
Writes model.sig, an OpenSSF model signature, over manifest, tensors, card and what pyvene loads: whoever changes one of
them has to sign again. Also "model_signing verify key" checks it. --json prints { folder, subject, keyid, files }.

Examples:
  $ vene sign ./cheerful --key alice
  $ vene sign ./cheerful --key ./alice.key --subject alice/cheerful@1.0.0
`;

export const defineSign: DefineCommand = (command, context) => {
  command
    .description("Signs an intervention.")
    .argument("<folder>", "the intervention, in vene's format")
    .option("--key <key>", "required: name of a key (vene keys list), or path of a private key")
    .option("--subject <text>", "what the signature is about (default: the intervention's name)")
    .addHelpText("after", notes)
    .action(async (folder: string, flags: SignFlags) => sign(folder, flags, context()));
};

async function sign(folder: string, flags: SignFlags, { env, json, stdout }: CommandContext): Promise<void> {
  if (flags.key === undefined) throw new UsageError("--key is missing", "vene keys new makes one");
  const { readSigningKey, signArtefact, signingPlaces } = await import("../../index.ts");
  const isPath = /[/\\]|\.(key|pem)$/.test(flags.key);
  const key = await readSigningKey(isPath ? flags.key : join(signingPlaces(env).keys, `${flags.key}.key`));
  const { subject, files } = await signArtefact(
    folder,
    key,
    flags.subject === undefined ? {} : { subject: flags.subject },
  );
  if (json) return stdout.write(`${JSON.stringify({ folder, subject, keyid: key.keyid, files })}\n`);
  stdout.write(
    renderFacts([
      ["signed", subject],
      ["key", key.keyid],
      ["files", files.map(({ name }) => name).join(", ")],
    ]),
  );
}
