/** Valid manifests and ways to break them, for the tests of the format. */
import fc from "fast-check";
import type { Manifest } from "../../src/spec/manifest.ts";

const digest = "0123456789abcdef".repeat(4);

/** A manifest that uses every optional field. */
export function fullManifest(): Manifest {
  return {
    format: 1,
    name: "honest-smollm2",
    summary: "Answers more honestly.",
    license: "apache-2.0",
    base: {
      model: "HuggingFaceTB/SmolLM2-135M-Instruct",
      revision: "main",
      architecture: "llama",
      layers: 30,
      hiddenSize: 576,
      fingerprint: digest,
    },
    mode: "parallel",
    interventions: [
      {
        key: "layer_8_comp_block_output_unit_pos_nunit_1#0",
        kind: "addition",
        site: { layer: 8, component: "block_output", unit: "pos" },
        maxUnits: 1,
        parameters: {},
        tensors: { source: "layer_8.source" },
        dimension: 576,
        strength: { default: 1, min: -4, max: 4 },
        tokens: { prompt: "none", generated: "all" },
        subspacePartition: [
          [0, 8],
          [8, 10, 12],
        ],
        group: 0,
        link: "twins",
      },
      {
        key: "comp_model_layers[9]_self_attn_o_proj_output_unit_pos_nunit_1#0",
        kind: "zero",
        site: { module: "model.layers[9].self_attn.o_proj", side: "output", unit: "pos" },
        maxUnits: 2,
        parameters: {},
        tensors: {},
        dimension: [0, 2, 4],
        strength: { default: 1, min: 0, max: 1 },
        tokens: { prompt: [0, -1], generated: { from: 2, to: 5 } },
      },
      {
        key: "value.0",
        kind: "collect",
        site: { value: "/model/layers.3/mlp/Add_output_0", unit: "h.pos" },
        maxUnits: 1,
        parameters: {},
        tensors: {},
        dimension: null,
        strength: { default: 1, min: 1, max: 1 },
        tokens: { prompt: "last", generated: { from: 0 } },
      },
    ],
    provenance: {
      method: "difference of means",
      description: "honest against dishonest answers",
      data: ["truthful_qa"],
      tool: { name: "vene", version: "0.1.0" },
      created: "2026-05-01",
      sourceFiles: [{ name: "vectors.bin", sha256: digest }],
    },
    evaluation: [
      { name: "truthful_qa", metric: "mc1", split: "validation", value: 0.4, baseline: 0.34, n: 817, note: "" },
    ],
    expected: [
      { prompt: "Is the earth flat?", maxNewTokens: 3, plain: [1, 2, 3], steered: [4, 5, 6], strength: 1.5 },
      { prompt: [{ role: "user", content: "hi" }], maxNewTokens: 1, steered: [0] },
    ],
    files: { "intervention.safetensors": { sha256: digest, size: 2400 } },
    pyvene: { era: "14", config: { mode: "parallel", odd: [null, { a: 1 }] }, keys: ["a#0", "b#0", "c#0"] },
  };
}

/** A value anywhere inside a JSON document: how to reach it. */
type Path = readonly (string | number)[];

function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [at];
  return [
    at,
    ...Object.entries(value).flatMap(([key, child]) =>
      pathsOf(child, [...at, Array.isArray(value) ? Number(key) : key]),
    ),
  ];
}

const replacements: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    "",
    "x",
    "none",
    "all",
    0,
    -1,
    1,
    1.5,
    1e300,
    -0,
    [],
    {},
    [0],
    ["a"],
    { from: 3 },
    "\u{1f600}",
  ),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.integer({ min: 90, max: 2100 }).map((length) => "\u{1f600}".repeat(length)),
  fc.jsonValue({ maxDepth: 2 }),
);

/** {@link fullManifest} with one to three values replaced, dropped or added somewhere. */
export const mutatedManifests: fc.Arbitrary<unknown> = fc
  .array(fc.record({ at: fc.nat(), how: fc.constantFrom("replace", "drop", "add"), by: replacements }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((edits) => edits.reduce<unknown>((document, { at, how, by }) => edited(document, at, how, by), fullManifest()));

function edited(document: unknown, at: number, how: string, by: unknown): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(document));
  const paths = pathsOf(copy);
  const path = paths[at % paths.length]!;
  if (path.length === 0) return how === "replace" ? by : copy;
  let owner = copy as Record<string | number, unknown>;
  for (const step of path.slice(0, -1)) owner = owner[step] as Record<string | number, unknown>;
  const last = path.at(-1)!;
  if (how === "replace") owner[last] = by;
  else if (how === "add" && !Array.isArray(owner)) owner[`${last}2`] = by;
  else if (Array.isArray(owner)) owner.splice(Number(last), 1);
  else delete owner[last];
  return copy;
}
