/** Whatever was thrown, as a line for people, an object for programs and an exit code. */
import { exitCodes } from "./exit-codes.ts";
import type { CliIo } from "./io.ts";
import { harmless, painter } from "./style.ts";

/** A command line that makes no sense; for what commander cannot see by itself. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
  readonly details: unknown;
  readonly exitCode: number;
}

/** Errors of vene keep their code; commander's become "usage"; anything else is "internal", a fault of vene. */
export async function failureOf(thrown: unknown): Promise<Failure> {
  if (thrown instanceof UsageError) return usage(thrown.message, thrown.hint);
  if (isCommanderError(thrown)) return fromCommander(thrown.message);
  const { VeneError } = await import("../index.ts");
  if (thrown instanceof VeneError) {
    const { code, message, hint, details } = thrown;
    if (code === "aborted") return { code, message: "interrupted", hint, details, exitCode: exitCodes.interrupted };
    return { code, message, hint, details, exitCode: code === "usage" ? exitCodes.usage : exitCodes.failure };
  }
  return {
    code: "internal",
    message: thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown),
    hint: "this is a fault of vene: report it with the command and, from VENE_DEBUG=1, the stack",
    details: {},
    exitCode: exitCodes.failure,
  };
}

/** `error[code]: message` and the hint on stderr; under --json also one object on stdout. */
export function printFailure({ code, message, hint, details }: Failure, io: CliIo, json: boolean): void {
  const paint = painter(io, io.stderr);
  io.stderr.write(`${paint("red", `error[${code}]`)}: ${harmless(message)}\n`);
  if (hint !== undefined) io.stderr.write(`${paint("dim", "hint:")} ${harmless(hint)}\n`);
  if (json) io.stdout.write(`${toJson({ error: { code, message, hint: hint ?? null, details } })}\n`);
}

/** Details may hold what JSON does not: bigints become text, maps objects. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === "bigint") return String(item);
    return item instanceof Map ? Object.fromEntries(item) : item;
  });
}

function isCommanderError(thrown: unknown): thrown is Error & { readonly code: string } {
  return thrown instanceof Error && String((thrown as { code?: unknown }).code).startsWith("commander.");
}

/** "error: unknown option '--modle'\n(Did you mean --model?)" in two parts. */
function fromCommander(text: string): Failure {
  const [first = "", ...rest] = text.replace(/^error: /, "").split("\n");
  const suggestion = rest.join(" ").replace(/^\(D(.*)\)$/, "d$1");
  return usage(first, suggestion === "" ? undefined : suggestion);
}

function usage(message: string, hint: string | undefined): Failure {
  return { code: "usage", message, hint, details: {}, exitCode: exitCodes.usage };
}
