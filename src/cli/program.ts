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
  pull: {
    summary: "fetch an intervention or a model from the Hub, verified",
    load: async () => (await import("./commands/pull.ts")).definePull,
  },
  push: {
    summary: "share an intervention on the Hub, in one checked commit",
    load: async () => (await import("./commands/push.ts")).definePush,
  },
  cache: {
    summary: "list, verify and clear the local cache of the Hub",
    load: async () => (await import("./commands/cache.ts")).defineCache,
  },
  hub: {
    summary: "run a hub of your own, sign in, and list what is there",
    load: async () => (await import("./commands/hub.ts")).defineHub,
  },
  pack: {
    summary: "make one file of an intervention",
    load: async () => (await import("./commands/pack.ts")).definePack,
  },
  unpack: {
    summary: "unpack such a file, checked",
    load: async () => (await import("./commands/unpack.ts")).defineUnpack,
  },
  keys: {
    summary: "make keys to sign with, and say whose signatures to trust",
    load: async () => (await import("./commands/keys.ts")).defineKeys,
  },
  sign: {
    summary: "sign an intervention",
    load: async () => (await import("./commands/sign.ts")).defineSign,
  },
  verify: {
    summary: "check an intervention's files, its signature, and that it still does what it did",
    load: async () => (await import("./commands/verify.ts")).defineVerifyArtefact,
  },
  search: {
    summary: "find interventions in registries",
    load: async () => (await import("./commands/search.ts")).defineSearch,
  },
  info: {
    summary: "say what an intervention in a registry is",
    load: async () => (await import("./commands/info.ts")).defineInfo,
  },
  resolve: {
    summary: "print the release that a name means",
    load: async () => (await import("./commands/resolve.ts")).defineResolve,
  },
  install: {
    summary: "fetch interventions by name and note them in a lockfile",
    load: async () => (await import("./commands/install.ts")).defineInstall,
  },
  publish: {
    summary: "publish an intervention in a registry",
    load: async () => (await import("./commands/publish.ts")).definePublish,
  },
  yank: {
    summary: "withdraw a version from use",
    load: async () => (await import("./commands/yank.ts")).defineYank,
  },
  unyank: {
    summary: "take a withdrawal back",
    load: async () => (await import("./commands/yank.ts")).defineUnyank,
  },
  deprecate: {
    summary: "say that something else should be used",
    load: async () => (await import("./commands/deprecate.ts")).defineDeprecate,
  },
  alias: {
    summary: "point a name such as stable at a version",
    load: async () => (await import("./commands/alias.ts")).defineAlias,
  },
  registry: {
    summary: "make and check a registry of your own",
    load: async () => (await import("./commands/registry.ts")).defineRegistry,
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
