/** What the weights of a model's Linear layers can be computed with. */
import { VeneError } from "../base/errors.ts";
import { type CompileOptions, type Family, nothingOnDemand } from "./family.ts";

/**
 * Bits per weight; undefined for float32, the reference. A head of 8 bits is worth its size: on SmolLM2-135M it takes back two
 * fifths of what 4 bits everywhere add to the perplexity.
 */
const bitsPerWeight = {
  fp32: undefined,
  q8: { layers: 8, head: 8 },
  q4: { layers: 4, head: 8 },
} as const satisfies Readonly<Record<string, CompileOptions["bits"]>>;

export type ModelDType = keyof typeof bitsPerWeight;

export const modelDTypes = Object.keys(bitsPerWeight) as readonly ModelDType[];

/** The family compiling to graphs with such weights. */
export function familyAt(family: Family, dtype: ModelDType): Family {
  const bits = bitsPerWeight[dtype];
  if (bits === undefined) return family;
  return {
    ...family,
    compile: (config, weights, options = nothingOnDemand) => family.compile(config, weights, { ...options, bits }),
  };
}

/** Throws `usage` for anything else, naming those there are. */
export function checkModelDType(dtype: unknown): asserts dtype is ModelDType {
  if (typeof dtype === "string" && Object.hasOwn(bitsPerWeight, dtype)) return;
  throw new VeneError("usage", `there is no dtype ${JSON.stringify(dtype)} for a model`, {
    hint: `there are ${modelDTypes.join(", ")}`,
    details: { dtype, known: modelDTypes },
  });
}
