/** Things worth knowing that are no failure: on stderr, unless --quiet. */
import type { CommandContext } from "./io.ts";
import { harmlessLine, painter } from "./style.ts";

export function printNotices(notices: readonly string[], context: CommandContext): void {
  if (context.quiet) return;
  const paint = painter(context, context.stderr);
  for (const notice of notices) context.stderr.write(`${paint("yellow", "notice:")} ${harmlessLine(notice)}\n`);
}
