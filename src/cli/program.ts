/** The command line as commander has it: global options, the commands, and no printing or exiting behind our back. */
import { Command } from "commander";
import { exitCodesHelp } from "./exit-codes.ts";
import type { CliIo, CommandContext, DefineCommand } from "./io.ts";
import { ownPackage } from "./package-root.ts";

/** Commands with the line that `vene --help` has for each. A file is loaded only when its command is named. */
const commands: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<DefineCommand> }>> = {
  generate: {
    summary: "print the plain and the steered answer to a prompt",
    load: async () => (await import("./commands/generate.ts")).defineGenerate,
  },
  inspect: {
    summary: "say what an intervention, a model or a file of vectors is",
    load: async () => (await import("./commands/inspect.ts")).defineInspect,
  },
  convert: {
    summary: "convert pyvene's saves and files of vectors to vene's format, and back",
    load: async () => (await import("./commands/convert.ts")).defineConvert,
  },
  demo: {
    summary: "watch an intervention make a tiny model truthful",
    load: async () => (await import("./commands/demo.ts")).defineDemo,
  },
};

const HELP_WIDTH = 100;

/** The program, ready to parse `argv`: of the commands only the one that argv names has its options. */
export async function createProgram(argv: readonly string[], io: CliIo): Promise<Command> {
  const program = new Command("vene")
    .description("Saves, shares and re-applies interventions on local language models.")
    .usage("<command> [options]")
    .version(ownPackage().version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .option("--json", "print one JSON object")
    .option("--quiet", "no notices and no progress on stderr")
    .configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => command.name() })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: () => undefined,
      getOutHelpWidth: () => HELP_WIDTH,
      getErrHelpWidth: () => HELP_WIDTH,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride()
    .addHelpText("after", `${examples}${exitCodesHelp}`);
  const named = namedCommand(argv);
  for (const [name, { summary, load }] of Object.entries(commands)) {
    const command = program.command(name).summary(summary);
    if (name === named) (await load())(command, () => contextOf(command, io));
  }
  return program;
}

/** The command that a command line is about, if it is one of ours. */
export function namedCommand(argv: readonly string[]): string | undefined {
  return argv.find((word) => Object.hasOwn(commands, word));
}

function contextOf(command: Command, io: CliIo): CommandContext {
  const { json, quiet } = command.optsWithGlobals<{ json?: boolean; quiet?: boolean }>();
  return { ...io, json: json === true, quiet: quiet === true };
}

const examples = `
Examples:
  $ vene demo
  $ vene generate --model ./SmolLM2-135M-Instruct --intervention ./cheerful --chat "What should I do today?"
  $ vene inspect ./cheerful
  $ vene convert ./saved-by-pyvene ./cheerful --name cheerful

"vene <command> --help" has more.
`;
