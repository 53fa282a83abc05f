/** `vene keys list`: the keys that are here. */
import type { CommandContext, DefineCommand } from "../../io.ts";
import { renderTable } from "../../table.ts";

export const defineListKeys: DefineCommand = (command, context) => {
  command
    .description("Lists the keys that are here.")
    .addHelpText("after", "\n--json prints { keys, pins }: keys with { name, keyid, signs }, pins by namespace.\n")
    .action(async () => list(context()));
};

async function list({ env, json, stdout }: CommandContext): Promise<void> {
  const { listKeys, readPins, signingPlaces } = await import("../../../index.ts");
  const places = signingPlaces(env);
  const [keys, pins] = await Promise.all([listKeys(places.keys), readPins(places.pins)]);
  if (json) {
    const shown = keys.map(({ name, keyid, signs }) => ({ name, keyid, signs }));
    return stdout.write(`${JSON.stringify({ keys: shown, pins })}\n`);
  }
  if (keys.length === 0) stdout.write("no keys\n");
  else {
    const columns = [{ title: "name" }, { title: "for" }, { title: "key" }];
    const rows = keys.map(({ name, keyid, signs }) => [name, signs ? "signing" : "checking", keyid]);
    stdout.write(renderTable(columns, rows));
  }
  const pinned = Object.entries(pins).map(([namespace, { keyid, since }]) => [namespace, since.slice(0, 10), keyid]);
  if (pinned.length === 0) return;
  stdout.write(`\n${renderTable([{ title: "namespace" }, { title: "since" }, { title: "key" }], pinned)}`);
}
