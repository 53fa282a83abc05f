/** `vene hub whoami`: who the token in use belongs to. */
import type { Identity } from "../../../index.ts";
import type { CommandContext, DefineCommand } from "../../io.ts";
import { renderFacts } from "../../table.ts";

export const defineWhoami: DefineCommand = (command, context) => {
  command.description("Says who the token in use belongs to, and where.").action(async () => show(context()));
};

async function show({ env, json, stdout }: CommandContext): Promise<void> {
  const { whoami } = await import("../../../index.ts");
  const identity = await whoami({ hub: { variables: env } });
  stdout.write(json ? `${JSON.stringify(identity)}\n` : identityText(identity));
}

export function identityText({ name, fullName, organisations, role, tokenName, endpoint }: Identity): string {
  return renderFacts([
    ["user", fullName === undefined || fullName === name ? name : `${name} (${fullName})`],
    ["organisations", organisations.join(", ")],
    ["token", [tokenName, role].filter((part) => part !== undefined).join(", ")],
    ["hub", endpoint],
  ]);
}
