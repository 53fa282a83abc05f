/** `vene registry`: a registry of one's own. Serving one is `vene hub serve`, or any web server over the folder. */
import type { DefineCommand } from "../io.ts";
import { defineRegistryCheck } from "./registry/check.ts";
import { defineRegistryInit } from "./registry/init.ts";

const notes = `
A registry is a tree of files. In a folder or a git repository any web server can serve it; in a dataset repository the Hub
does, or "vene hub serve".
`;

const subcommands: Readonly<Record<string, { readonly summary: string; readonly define: DefineCommand }>> = {
  init: { summary: "make an empty registry", define: defineRegistryInit },
  check: { summary: "read all of a registry and say what is wrong with it", define: defineRegistryCheck },
};

export const defineRegistry: DefineCommand = (command, context) => {
  command.description("Makes and checks registries.").usage("<subcommand> [options]").addHelpText("after", notes);
  for (const [name, { summary, define }] of Object.entries(subcommands)) {
    define(command.command(name).summary(summary), context);
  }
};
