/** The sizes of an intervention as people ask for them: width, rank, latents, and how much of it training changes. */
import { type Intervention, tensorNames } from "../spec/intervention.ts";
import { kindSpecOf } from "../spec/kinds.ts";
import type { Artefact } from "./artefact.ts";
import { sizesOf } from "./check.ts";

export interface SizeFacts {
  /** Of what it acts on: a unit of the site, or maxUnits of them where the kind takes them together. Absent where no tensor tells. */
  readonly width?: number | undefined;
  readonly rank?: number | undefined;
  readonly latents?: number | undefined;
  /** How many numbers training changes. */
  readonly trainable: number;
}

/** What the tensors of an intervention tell about its size. */
export function sizeFacts({ tensors }: Artefact, intervention: Intervention): SizeFacts {
  const { units, trainable } = kindSpecOf(intervention.kind);
  const sizes = sizesOf(intervention, tensors);
  const facts = { width: sizes.get(units === "together" ? "n" : "d"), rank: sizes.get("r"), latents: sizes.get("f") };
  const counted = tensorNames(intervention).filter(([role]) => trainable.includes(role));
  return {
    ...Object.fromEntries(Object.entries(facts).filter(([, size]) => size !== undefined)),
    trainable: counted.reduce((sum, [, name]) => sum + tensors.get(name)!.size, 0),
  };
}
