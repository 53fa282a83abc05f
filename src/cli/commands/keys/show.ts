/** `vene keys show`: the public half of a key, to give away. */
import { join } from "node:path";
import type { CommandContext, DefineCommand } from "../../io.ts";
import { listValue } from "../../option-values.ts";

const notes = `
Prints the PEM text. --json prints the entry for a registry's keys.json: { keyid, alg, spki, namespaces }.

Examples:
  $ vene keys show alice > alice.pub
  $ vene keys show alice --json --namespace alice
`;

export const defineShowKey: DefineCommand = (command, context) => {
  command
    .description("Prints the public half of a key.")
    .argument("<name>", "what the key is called here")
    .option("--namespace <namespace>", "what it may sign in a registry; may be repeated (default: its name)", listValue)
    .addHelpText("after", notes)
    .action(async (name: string, flags: { readonly namespace?: readonly string[] }) =>
      show(name, flags.namespace ?? [name], context()),
    );
};

async function show(name: string, namespaces: readonly string[], { env, json, stdout }: CommandContext): Promise<void> {
  const { publisherKeyOf, readVerifyingKey, signingPlaces } = await import("../../../index.ts");
  const key = await readVerifyingKey(join(signingPlaces(env).keys, `${name}.pub`));
  stdout.write(json ? `${JSON.stringify(publisherKeyOf(key, namespaces))}\n` : key.spki);
}
