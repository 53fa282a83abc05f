/** The closed table of model families; config.json's model_type picks the row. */
import { VeneError } from "../base/errors.ts";
import type { ConfigReader } from "./config.ts";
import type { Family } from "./family.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";

export const families = { gpt2, llama } as const satisfies Readonly<Record<string, Family>>;

export type FamilyName = keyof typeof families;

/** The family of a config. Throws `architecture-unknown`, listing those that exist. */
export function familyOf(config: ConfigReader): Family {
  const type = config.string("model_type");
  if (Object.hasOwn(families, type)) return families[type as FamilyName];
  const known = Object.keys(families);
  throw new VeneError("architecture-unknown", `model_type is ${JSON.stringify(type)}, which vene does not compile`, {
    hint: `known: ${known.join(", ")}`,
    details: { modelType: type, known },
  });
}
