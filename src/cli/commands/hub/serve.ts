/** `vene hub serve`: an embedded Hub over a folder, until Ctrl-C. */
import { readFile, writeFile } from "node:fs/promises";
import { InvalidArgumentError } from "commander";
import type { HubServerOptions, HubToken } from "../../../index.ts";
import { UsageError } from "../../failures.ts";
import type { CommandContext, DefineCommand } from "../../io.ts";

const notes = `
Clients find the hub through HF_ENDPOINT: vene itself, huggingface_hub and its command hf; @huggingface/hub takes hubUrl.

Without tokens everyone on this machine may do everything, and the hub listens to this machine only. --token makes one
administrator. --tokens names a file of several: { "tokens": [{ "token": "hf_...", "name": "ann", "role": "write",
"organizations": ["lab"] }] }, with the roles read, write (one's own namespaces) and admin (everything). A file that does
not exist is made, with one administrator's token in it that only you can read.

Each repository is a bare git repository below --dir, with its large files where git-lfs looks for them.

Examples:
  $ vene hub serve --dir ./hub
  $ vene hub serve --dir ./hub --port 8080 --tokens ./tokens.json
  $ HF_ENDPOINT=http://127.0.0.1:7860 hf download me/cheerful
`;

const DEFAULT_PORT = 7860;

interface ServeFlags {
  readonly dir: string;
  readonly port: number;
  readonly host: string;
  readonly token?: string;
  readonly tokens?: string;
  readonly readOnly?: true;
  readonly hostName?: readonly string[];
  readonly publicUrl?: string;
}

export const defineServe: DefineCommand = (command, context) => {
  command
    .description("Runs a hub on this machine that the official clients and vene can use like the Hugging Face Hub.")
    .requiredOption("--dir <folder>", "where everything is kept; made when it does not exist")
    .option("--port <number>", "the port; 0 takes any free one", port, DEFAULT_PORT)
    .option("--host <address>", "the address to listen at; those that others can reach need tokens", "127.0.0.1")
    .option("--token <token>", "the token of the one administrator")
    .option("--tokens <file>", "the file that says which tokens there are")
    .option("--read-only", "refuse everything that would change something")
    .option("--host-name <name...>", "names by which clients reach the hub, beside its addresses and localhost")
    .option("--public-url <url>", "what links start with, when a proxy stands before the hub")
    .addHelpText("after", notes)
    .action(async (flags: ServeFlags) => serve(flags, context()));
};

function port(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number <= 65_535) return number;
  throw new InvalidArgumentError("a port is a whole number from 0 to 65535.");
}

async function serve(flags: ServeFlags, context: CommandContext): Promise<void> {
  const { startHub } = await import("../../../index.ts");
  const tokens = await tokensOf(flags, context);
  const { signal } = context.interrupt;
  context.interrupt.hold();
  const server = await startHub({
    ...serverOptions(flags),
    tokens,
    onFault: (fault) => context.stderr.write(`${fault instanceof Error ? fault.stack : String(fault)}\n`),
  });
  try {
    announce(server.url, flags, tokens, context);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    if (!context.quiet) context.stderr.write("stopping\n");
  } finally {
    await server.close();
  }
}

function serverOptions({ dir, port, host, readOnly, hostName, publicUrl }: ServeFlags): HubServerOptions {
  return {
    dir,
    port,
    host,
    readOnly: readOnly === true,
    ...(hostName !== undefined && { hostNames: hostName }),
    ...(publicUrl !== undefined && { publicUrl }),
  };
}

function announce(url: string, flags: ServeFlags, tokens: readonly HubToken[], { stdout, json }: CommandContext): void {
  if (json) {
    stdout.write(
      `${JSON.stringify({ url, dir: flags.dir, readOnly: flags.readOnly === true, users: tokens.map(({ name }) => name) })}\n`,
    );
    return;
  }
  const who =
    tokens.length === 0
      ? `no tokens: everyone on this machine may read${flags.readOnly === true ? "" : " and write"}`
      : `${tokens.length === 1 ? "1 token" : `${tokens.length} tokens`}: set HF_TOKEN to yours`;
  stdout.write(`hub of ${flags.dir} at ${url}${flags.readOnly === true ? ", read-only" : ""}\n`);
  stdout.write(`${who}\nclients: export HF_ENDPOINT=${url}\nCtrl-C stops it\n`);
}

async function tokensOf({ token, tokens }: ServeFlags, context: CommandContext): Promise<readonly HubToken[]> {
  if (token !== undefined && tokens !== undefined) throw new UsageError("--token and --tokens exclude each other");
  if (token !== undefined) return [{ token, name: "admin", role: "admin" }];
  return tokens === undefined ? [] : readOrMakeTokens(tokens, context);
}

async function readOrMakeTokens(path: string, context: CommandContext): Promise<readonly HubToken[]> {
  const { mintToken, parseHubTokens } = await import("../../../index.ts");
  const made: HubToken = { token: mintToken(), name: "admin", role: "admin" };
  try {
    await writeFile(path, `${JSON.stringify({ tokens: [made] }, null, 2)}\n`, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") {
      throw new UsageError(`the tokens cannot be kept in ${path}: ${String(cause)}`);
    }
    const content = await readFile(path).catch((thrown: unknown) => {
      throw new UsageError(`the tokens cannot be read from ${path}: ${String(thrown)}`);
    });
    return parseHubTokens(content, path);
  }
  if (!context.quiet) context.stderr.write(`made ${path} with an administrator's token\n`);
  return [made];
}
