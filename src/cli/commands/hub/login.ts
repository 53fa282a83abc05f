/** `vene hub login`: asks the Hub about a token from stdin and stores it where Python looks, too. */
import { UsageError } from "../../failures.ts";
import type { CommandContext, DefineCommand } from "../../io.ts";
import { readPrompt } from "../../prompt-input.ts";
import { identityText } from "./whoami.ts";

const examples = `
The token is read from stdin, so that it is neither in the shell's history nor in the list of processes. It is stored for
HF_ENDPOINT (default: https://huggingface.co) in HF_HOME/token, readable by you alone, where huggingface_hub and hf find
it. HF_TOKEN, where it is set, goes before it.

Examples:
  $ vene hub login < token.txt
  $ pass show hf | HF_ENDPOINT=http://127.0.0.1:7860 vene hub login
`;

export const defineLogin: DefineCommand = (command, context) => {
  command
    .description("Stores an access token, after asking the Hub who it belongs to.")
    .addHelpText("after", examples)
    .action(async () => logIn(context()));
};

async function logIn(context: CommandContext): Promise<void> {
  if (context.stdinIsTerminal) {
    throw new UsageError("the token is read from stdin, which is a terminal", "pipe it in: vene hub login < token.txt");
  }
  const { login } = await import("../../../index.ts");
  const token = (await readPrompt(undefined, context)).trim();
  const identity = await login(token, { hub: { variables: context.env } });
  const { stdout, json } = context;
  stdout.write(json ? `${JSON.stringify(identity)}\n` : `logged in\n\n${identityText(identity)}`);
}
