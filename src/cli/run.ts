/** Runs one command line against injected streams and says with which code the process should exit. */
import { exitCodes } from "./exit-codes.ts";
import { type Failure, failureOf, printFailure, UsageError } from "./failures.ts";
import type { CliIo } from "./io.ts";
import { createProgram, namedCommand } from "./program.ts";

/** `argv` without node and script. Never throws. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    const program = await createProgram(argv, io);
    await program.parseAsync([...argv], { from: "user" });
    return exitCodes.ok;
  } catch (thrown) {
    if ((thrown as { exitCode?: unknown } | null)?.exitCode === 0) return exitCodes.ok; // --help and --version
    const failure = withHint(await failureOf(isHelpWithoutCommand(thrown) ? noCommand() : thrown), argv);
    printFailure(failure, io, asksForJson(argv));
    if (io.env["VENE_DEBUG"] === "1" && thrown instanceof Error) io.stderr.write(`${thrown.stack}\n`);
    return failure.exitCode;
  } finally {
    io.interrupt.letGo();
  }
}

/** `vene` alone: commander has already printed the help, on stderr. */
function isHelpWithoutCommand(thrown: unknown): boolean {
  return (thrown as { code?: unknown } | null)?.code === "commander.help";
}

function noCommand(): UsageError {
  return new UsageError("no command was given", "vene demo is a good first one");
}

function withHint(failure: Failure, argv: readonly string[]): Failure {
  if (failure.code !== "usage" || failure.hint !== undefined) return failure;
  const named = namedCommand(argv);
  return { ...failure, hint: named === undefined ? "see vene --help" : `see vene ${named} --help` };
}

/** Read off the words, since a command line that does not parse has no options yet. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? argv.length : end).includes("--json");
}
