/** `vene keys new`: makes a pair of keys. */
import { join } from "node:path";
import type { CommandContext, DefineCommand } from "../../io.ts";
import { renderFacts } from "../../table.ts";

const notes = `
Writes name.key, which nobody else may have, and name.pub, which others need to check what you sign. --json prints
{ name, keyid, private, public }.

Example:
  $ vene keys new alice
`;

export const defineNewKey: DefineCommand = (command, context) => {
  command
    .description("Makes a key to sign with.")
    .argument("<name>", "what it is called here")
    .addHelpText("after", notes)
    .action(async (name: string) => make(name, context()));
};

async function make(name: string, { env, json, stdout }: CommandContext): Promise<void> {
  const { newKey, signingPlaces } = await import("../../../index.ts");
  const folder = signingPlaces(env).keys;
  const { keyid } = await newKey(folder, name);
  const files = { private: join(folder, `${name}.key`), public: join(folder, `${name}.pub`) };
  if (json) return stdout.write(`${JSON.stringify({ name, keyid, ...files })}\n`);
  stdout.write(renderFacts([["key", keyid], ...Object.entries(files)]));
}
