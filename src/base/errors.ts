/** The one error class of vene: a stable code, a sentence with the values, and what to do about it. */
import type { ErrorCode } from "./error-codes.ts";

const brand = Symbol.for("vene.error");

/** Values that disagree, paths and names: whatever a program needs to react without parsing the message. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/**
 * Every failure vene reports on purpose. `code` never changes meaning between releases; `message` says what happened, with
 * which values; `hint` says what to do. `instanceof` works across copies of the package and across realms.
 */
export class VeneError extends Error {
  override readonly name = "VeneError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; details?: ErrorDetails; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
    Object.defineProperty(this, brand, { value: true });
  }

  static override [Symbol.hasInstance](candidate: unknown): boolean {
    return typeof candidate === "object" && candidate !== null && brand in candidate;
  }
}

/** The message of anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** `fs`'s error code ("ENOENT", "EACCES", ...) of anything thrown, if it has one. */
export function systemCodeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}
