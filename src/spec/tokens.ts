/** The tokens policy: which prompt and which generated tokens an intervention touches, and its spelling on a command line. */
import { z } from "zod";
import { VeneError } from "../base/errors.ts";
import { describeIssues } from "./issues.ts";

const MAX_POSITION = 1_000_000;

const positionsSchema = z
  .array(z.int().min(-MAX_POSITION).max(MAX_POSITION))
  .min(1)
  .meta({ description: "0-based among the prompt's real tokens (padding never counts); negative counts from the end" });

const rangeSchema = z.strictObject({
  from: z.int().min(0).max(MAX_POSITION).meta({ description: "0-based: 0 is the first generated token" }),
  to: z.int().min(1).max(MAX_POSITION).optional().meta({ description: "one past the last; open if absent" }),
});

/**
 * Which tokens' activations are touched. Generated token i is touched when it is fed back to the model, so the touch shows
 * from generated token i + 1 on; the first generated token depends on `prompt` alone.
 */
export const tokensPolicySchema = z
  .strictObject({
    prompt: z.union([z.enum(["none", "all", "last"]), positionsSchema]),
    generated: z.union([z.enum(["none", "all"]), rangeSchema]),
  })
  .meta({
    id: "tokens",
    description: "which tokens are touched: of the prompt, and of what is generated (each when it is fed back)",
  });

export type TokensPolicy = z.infer<typeof tokensPolicySchema>;

/** What pyvene's generate does unless told otherwise: the prompt untouched, every generated token touched. */
export const pyveneDefaultTokens: TokensPolicy = Object.freeze({ prompt: "none", generated: "all" });

/** The words a command line may use for the common policies. */
export const tokensWords = {
  generated: pyveneDefaultTokens,
  all: Object.freeze({ prompt: "all", generated: "all" }),
  prompt: Object.freeze({ prompt: "all", generated: "none" }),
  last: Object.freeze({ prompt: "last", generated: "all" }),
} as const satisfies { readonly [word: string]: TokensPolicy };

/**
 * Reads a policy from one of {@link tokensWords}, from "prompt=all|none|last|0,3,-1;generated=all|none|2..5|2.." (a missing half
 * is "none"; 2..5 is tokens 2, 3 and 4), or from JSON. Throws `tokens-invalid`.
 */
export function parseTokensPolicy(text: string): TokensPolicy {
  const trimmed = text.trim();
  if (Object.hasOwn(tokensWords, trimmed)) return { ...tokensWords[trimmed as keyof typeof tokensWords] };
  return checkTokensPolicy(trimmed.startsWith("{") ? fromJson(trimmed) : fromPairs(trimmed), text);
}

/** The policy as {@link parseTokensPolicy} reads it back: a word where one fits. */
export function formatTokensPolicy(policy: TokensPolicy): string {
  for (const [word, { prompt, generated }] of Object.entries(tokensWords)) {
    if (policy.prompt === prompt && policy.generated === generated) return word;
  }
  const prompt = typeof policy.prompt === "string" ? policy.prompt : policy.prompt.join(",");
  const { generated } = policy;
  const range = typeof generated === "string" ? generated : `${generated.from}..${generated.to ?? ""}`;
  return `prompt=${prompt};generated=${range}`;
}

/** Checks a policy that came from elsewhere (an API call, a file). Throws `tokens-invalid`. */
export function checkTokensPolicy(candidate: unknown, shown = JSON.stringify(candidate) ?? "undefined"): TokensPolicy {
  const parsed = tokensPolicySchema.safeParse(candidate);
  if (!parsed.success) throw notAPolicy(shown, describeIssues(parsed.error.issues).join("; "));
  const fault = tokensFault(parsed.data);
  if (fault !== undefined) throw notAPolicy(shown, fault);
  return parsed.data;
}

/** What is wrong with a policy of the right shape, if anything: an empty range. */
export function tokensFault(policy: TokensPolicy): string | undefined {
  const { generated } = policy;
  if (typeof generated === "string" || generated.to === undefined || generated.to > generated.from) return undefined;
  return `generated from ${generated.from} to ${generated.to} holds no token`;
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw notAPolicy(text, "not JSON", cause);
  }
}

function fromPairs(text: string): unknown {
  const policy: { prompt: unknown; generated: unknown } = { prompt: "none", generated: "none" };
  const seen = new Set<string>();
  for (const part of text.split(";")) {
    const pair = /^\s*(prompt|generated)\s*=\s*(.*?)\s*$/s.exec(part);
    if (pair === null || seen.has(pair[1]!)) throw notAPolicy(text, `${JSON.stringify(part)} does not fit`);
    seen.add(pair[1]!);
    if (pair[1] === "prompt") policy.prompt = promptOf(pair[2]!);
    else policy.generated = generatedOf(pair[2]!);
  }
  return policy;
}

function promptOf(text: string): unknown {
  return /^-?\d+(\s*,\s*-?\d+)*$/.test(text) ? text.split(",").map(Number) : text;
}

function generatedOf(text: string): unknown {
  const range = /^(\d+)\.\.(\d*)$/.exec(text);
  if (range === null) return text;
  return range[2] === "" ? { from: Number(range[1]) } : { from: Number(range[1]), to: Number(range[2]) };
}

function notAPolicy(text: string, why: string, cause?: unknown): VeneError {
  const shown = text.length > 120 ? `${text.slice(0, 120)}...` : text;
  return new VeneError("tokens-invalid", `tokens policy ${JSON.stringify(shown)} is not understood: ${why}`, {
    hint: 'use generated, all, prompt, last, or "prompt=all|none|last|0,3,-1;generated=all|none|2..5"',
    details: { text: shown, why },
    cause,
  });
}
