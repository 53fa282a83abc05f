/** What commands about registries have in common: which registries, whose environment, and changes of one of them. */
import type { Command } from "commander";
import type { Changed, RegistryOptions } from "../index.ts";
import type { CommandContext } from "./io.ts";
import { listValue } from "./option-values.ts";

export interface RegistryFlags {
  readonly registry?: readonly string[];
}

export interface ChangeFlags extends RegistryFlags {
  readonly by?: string;
  readonly pr?: true;
}

export const registryHelp = `
A registry is a folder, "hf:datasets/org/name", "https://..." or "default", the one that comes with vene; "lab=" in front of
it gives it a name. Without --registry it is what VENE_REGISTRY lists, with commas between, else "default".
`;

export function withRegistry(command: Command): Command {
  return command.option("--registry <location>", "registry to use; may be repeated", listValue);
}

export function withChange(command: Command): Command {
  return withRegistry(command)
    .option("--by <name>", "who does it, for the registry's log")
    .option("--pr", "propose it as a pull request, on a Hub");
}

export function registryOptions(
  { registry }: RegistryFlags,
  { env, interrupt }: CommandContext,
): Required<Pick<RegistryOptions, "registry" | "hub" | "signal">> {
  return { registry, hub: { variables: env }, signal: interrupt.signal };
}

/** Ctrl-C ends a change in order rather than the process. */
export function changeOptions(flags: ChangeFlags, context: CommandContext) {
  context.interrupt.hold();
  return { ...registryOptions(flags, context), by: flags.by, pullRequest: flags.pr === true };
}

/** What became of a change, in a line. */
export function printChange(
  done: string,
  { changed, pullRequestUrl }: Changed,
  { json, stdout }: CommandContext,
): void {
  const proposed = pullRequestUrl === undefined ? "" : ` (proposed: ${pullRequestUrl})`;
  const text = changed ? `${done}${proposed}` : "nothing to change";
  stdout.write(`${json ? JSON.stringify({ changed, pullRequestUrl: pullRequestUrl ?? null }) : text}\n`);
}
