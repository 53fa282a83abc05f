/** `vene hub`: a hub of one's own, and the account on one. The work is in a file for each subcommand. */
import type { DefineCommand } from "../io.ts";
import { defineLogin } from "./hub/login.ts";
import { defineLogout } from "./hub/logout.ts";
import { defineList } from "./hub/ls.ts";
import { defineServe } from "./hub/serve.ts";
import { defineWhoami } from "./hub/whoami.ts";

/** Subcommands with the line that `vene hub --help` has for each. */
const subcommands: Readonly<Record<string, { readonly summary: string; readonly define: DefineCommand }>> = {
  serve: { summary: "run a hub on this machine over a folder", define: defineServe },
  login: { summary: "store an access token", define: defineLogin },
  whoami: { summary: "say who the token belongs to", define: defineWhoami },
  logout: { summary: "forget the stored token", define: defineLogout },
  ls: { summary: "list interventions on the hub", define: defineList },
};

export const defineHub: DefineCommand = (command, context) => {
  command.description("Runs a hub of one's own, and signs in to one.").usage("<subcommand> [options]");
  for (const [name, { summary, define }] of Object.entries(subcommands)) {
    define(command.command(name).summary(summary), context);
  }
};
