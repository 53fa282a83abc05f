/** `vene hub logout`: forgets the stored token. */
import type { CommandContext, DefineCommand } from "../../io.ts";
import { printNotices } from "../../notices.ts";

export const defineLogout: DefineCommand = (command, context) => {
  command
    .description("Forgets the token that is stored for vene and Python; others that hf has stored by name stay.")
    .action(async () => logOut(context()));
};

async function logOut(context: CommandContext): Promise<void> {
  const { logout } = await import("../../../index.ts");
  const { env, json, stdout } = context;
  const removed = await logout({ hub: { variables: env } });
  if (env["HF_TOKEN"]) printNotices(["HF_TOKEN is still set, and still used"], context);
  stdout.write(json ? `${JSON.stringify({ removed })}\n` : `${removed ? "logged out" : "there was no stored token"}\n`);
}
