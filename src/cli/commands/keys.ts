/** `vene keys`: keys to sign with, and keys to trust. The work is in a file for each subcommand. */
import type { DefineCommand } from "../io.ts";
import { defineAddKey } from "./keys/add.ts";
import { defineListKeys } from "./keys/list.ts";
import { defineNewKey } from "./keys/new.ts";
import { definePinKey } from "./keys/pin.ts";
import { defineShowKey } from "./keys/show.ts";

/** Subcommands with the line that `vene keys --help` has for each. */
const subcommands: Readonly<Record<string, { readonly summary: string; readonly define: DefineCommand }>> = {
  new: { summary: "make a key of your own", define: defineNewKey },
  list: { summary: "list the keys that are here", define: defineListKeys },
  show: { summary: "print the public half of a key", define: defineShowKey },
  add: { summary: "trust somebody's key", define: defineAddKey },
  pin: { summary: "accept another key for a namespace", define: definePinKey },
};

const notes = `
Keys are ECDSA P-256 as PEM files in VENE_CONFIG/keys, else ~/.config/vene/keys: name.key signs and is for you alone,
name.pub is for everybody. Signatures are those of OpenSSF model signing v1, which its own tool checks, too.
`;

export const defineKeys: DefineCommand = (command, context) => {
  command
    .description("Makes keys to sign interventions with, and says whose signatures to trust.")
    .usage("<subcommand> [options]")
    .addHelpText("after", notes);
  for (const [name, { summary, define }] of Object.entries(subcommands)) {
    define(command.command(name).summary(summary), context);
  }
};
