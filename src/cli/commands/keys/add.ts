/** `vene keys add`: trusts what somebody else's key signed. */
import type { CommandContext, DefineCommand } from "../../io.ts";
import { renderFacts } from "../../table.ts";

const notes = `
Compare the key's id with what its owner tells you on another way. --json prints { name, keyid }.

Example:
  $ vene keys add bob ./bob.pub
`;

export const defineAddKey: DefineCommand = (command, context) => {
  command
    .description("Trusts what somebody else's key signed.")
    .argument("<name>", "what to call it here")
    .argument("<file>", "the public key: a PEM file")
    .addHelpText("after", notes)
    .action(async (name: string, file: string) => add(name, file, context()));
};

async function add(name: string, file: string, { env, json, stdout }: CommandContext): Promise<void> {
  const { addKey, readVerifyingKey, signingPlaces } = await import("../../../index.ts");
  const { spki } = await readVerifyingKey(file);
  const { keyid } = await addKey(signingPlaces(env).keys, name, spki);
  stdout.write(json ? `${JSON.stringify({ name, keyid })}\n` : renderFacts([["key", keyid]]));
}
