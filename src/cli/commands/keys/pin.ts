/** `vene keys pin`: says which key a namespace signs with from now on. */
import { UsageError } from "../../failures.ts";
import type { CommandContext, DefineCommand } from "../../io.ts";
import { renderFacts } from "../../table.ts";

const notes = `
The first key seen for a namespace is remembered, and another one refused: this accepts the other one. Do so after its
owner confirmed the change on another way. --json prints { namespace, keyid }.

Example:
  $ vene keys pin lab 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
`;

export const definePinKey: DefineCommand = (command, context) => {
  command
    .description("Accepts another key for a namespace.")
    .argument("<namespace>", "the part of a name before the slash")
    .argument("<keyid>", "id of the key, 64 hexadecimal digits")
    .addHelpText("after", notes)
    .action(async (namespace: string, keyid: string) => pin(namespace, keyid, context()));
};

async function pin(namespace: string, keyid: string, { env, json, stdout }: CommandContext): Promise<void> {
  if (!/^[0-9a-f]{64}$/.test(keyid)) throw new UsageError("the id of a key has 64 hexadecimal digits");
  const { pinKey, signingPlaces } = await import("../../../index.ts");
  await pinKey(signingPlaces(env).pins, namespace, keyid);
  stdout.write(
    json
      ? `${JSON.stringify({ namespace, keyid })}\n`
      : renderFacts([
          ["namespace", namespace],
          ["key", keyid],
        ]),
  );
}
