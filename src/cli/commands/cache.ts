/** `vene cache`: the local cache of the Hub, shared with Python. The work is in a file for each subcommand. */
import type { DefineCommand } from "../io.ts";
import { defineCacheList } from "./cache/ls.ts";
import { definePrune } from "./cache/prune.ts";
import { defineRemove } from "./cache/rm.ts";
import { defineVerify } from "./cache/verify.ts";

/** Subcommands with the line that `vene cache --help` has for each. */
const subcommands: Readonly<Record<string, { readonly summary: string; readonly define: DefineCommand }>> = {
  ls: { summary: "list what is in the cache", define: defineCacheList },
  verify: { summary: "compare every file with its digest", define: defineVerify },
  rm: { summary: "remove repositories or revisions", define: defineRemove },
  prune: { summary: "remove what no branch or tag names", define: definePrune },
};

const notes = `
The cache is Python's, too: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub.
`;

export const defineCache: DefineCommand = (command, context) => {
  command
    .description("Lists, verifies and clears the local cache of the Hub.")
    .usage("<subcommand> [options]")
    .addHelpText("after", notes);
  for (const [name, { summary, define }] of Object.entries(subcommands)) {
    define(command.command(name).summary(summary), context);
  }
};
