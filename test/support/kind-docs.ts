/** docs/kinds.md as generated from the table of kinds: what each does, what pyvene makes of it, what it needs to run. */
import { isAffine } from "../../src/interventions/kind.ts";
import { isBuiltIn, kindTable } from "../../src/interventions/table.ts";
import type { KindSpec } from "../../src/spec/kind-spec.ts";
import { type Kind, kindSpecOf } from "../../src/spec/kinds.ts";
import { adapterKinds } from "../../src/spec/kinds-adapters.ts";
import { affineKinds } from "../../src/spec/kinds-affine.ts";
import { autoencoderKinds } from "../../src/spec/kinds-autoencoders.ts";
import { subspaceKinds } from "../../src/spec/kinds-subspaces.ts";

/** Where an intervention of a kind takes its values from. */
export type SourceNeed = "none" | "noise" | "either" | "run" | "definition";

/** What generate does with a kind. */
export type Generating = "policy" | "source" | "locations" | "positions" | "collect" | "definition";

const sourceWords = {
  none: "no",
  noise: "no: makes its own noise",
  either: "yes: constant or at run time",
  run: "yes: at run time (the module's input there)",
  definition: "if its definition says so",
} as const satisfies { readonly [N in SourceNeed]: string };

const generatingWords = {
  policy: "by tokens policy",
  source: "by tokens policy with a constant source; else with `sources` at `unitLocations`",
  locations: "with `sources` at `unitLocations`",
  positions: "at four prompt positions (`unitLocations`); by tokens policy with a `noise` tensor of its own",
  collect: "hands out activations, by tokens policy or at `unitLocations`",
  definition: "by tokens policy; one that takes a source, as those above do",
} as const satisfies { readonly [G in Generating]: string };

const generatingOf = {
  none: "policy",
  noise: "positions",
  either: "source",
  run: "locations",
  definition: "definition",
} as const satisfies { readonly [N in SourceNeed]: Generating };

export function sourceNeedOf(kind: Kind): SourceNeed {
  if (!isBuiltIn(kind)) return "definition";
  const implementation = kindTable[kind];
  const takes = isAffine(implementation) ? implementation.affine.gain !== 0 : implementation.takesSource;
  if (!takes) return "none";
  if (isAffine(implementation) && implementation.sourceSide === "input") return "run";
  return kindSpecOf(kind).constantSource === "never" ? "noise" : "either";
}

export function generatingWith(kind: Kind): Generating {
  const implementation = isBuiltIn(kind) ? kindTable[kind] : undefined;
  if (implementation !== undefined && isAffine(implementation) && implementation.collects) return "collect";
  return generatingOf[sourceNeedOf(kind)];
}

const families = [
  { title: "Affine kinds", guides: ["kinds/affine.md"], kinds: affineKinds },
  { title: "Subspaces", guides: ["kinds/subspaces.md"], kinds: subspaceKinds },
  { title: "Autoencoders", guides: ["kinds/autoencoders.md"], kinds: autoencoderKinds },
  { title: "ReFT, LoRA and your own", guides: ["kinds/reft-and-lora.md", "kinds/your-own.md"], kinds: adapterKinds },
] as const;

const introduction = `# Kinds of interventions

Generated from the table of kinds in \`src/spec\`. Every kind here can be built, run, saved to format 1 and loaded again with the same
outputs; "pyvene loads it" says whether \`save\` also writes files that pyvene can open. That is the kind's side of it:
\`vene inspect <folder>\` names whatever else of an artefact pyvene cannot take (a site by ONNX value, a strength other than 1, ...).
How to use them is in [Interventions](interventions.md) and in the guide of each family. Where a constant source does, values passed in as
\`sourceRepresentations\` do, too; the tokens policy and \`unitLocations\` are explained there.

\`b\` is the model's own value at the site and \`s\` the source's. Shapes: d = width of a unit of the site, n = what the intervention acts
on (d, or d x \`maxNumberOfUnits\` where units are taken together), r = rank, f = latents, m = width of the module's input. W' is W
transposed.
`;

export function renderKindDocs(): string {
  return `${introduction}${families.map(section).join("")}`;
}

function section({ title, guides, kinds }: (typeof families)[number]): string {
  const names = Object.keys(kinds) as Kind[];
  const head =
    "| kind | what it does | pyvene's class | pyvene loads it | trainable tensors | needs a source | generate |";
  const rows = names.map((kind) => `| ${cellsOf(kind, kindSpecOf(kind)).join(" | ")} |`);
  const links = guides.map((guide) => `[${guide}](${guide})`).join(", ");
  return `\n## ${title}\n\nIn use: ${links}\n\n${head}\n|---|---|---|---|---|---|---|\n${rows.join("\n")}\n`;
}

function cellsOf(kind: Kind, spec: KindSpec): string[] {
  const { pyveneClass, pyveneCannotLoad } = spec;
  const loads = pyveneClass === undefined ? "no: it has no such class" : `no: ${pyveneCannotLoad}`;
  return [
    `\`${kind}\``,
    `\`${spec.description}\``,
    pyveneClass === undefined ? "none" : pyveneClass,
    pyveneClass !== undefined && pyveneCannotLoad === undefined ? "yes" : loads,
    trainableOf(spec),
    sourceWords[sourceNeedOf(kind)],
    generatingWords[generatingWith(kind)],
  ];
}

function trainableOf({ trainable, tensors, openTensors }: KindSpec): string {
  if (openTensors === true) return "all of its tensors";
  return trainable.map((role) => `\`${role}\` ${tensors[role]!.shape}`).join(", ") || "none";
}
