/**
 * Writes one folder per kind that pyvene can load, for kinds_in_pyvene.py: node test/oracle/write-kinds.mjs OUT [DIST]
 * Kinds with a conformance case: as imported from the case's saved/ (original) and with a config made anew. pyreft's kinds, which
 * have no case: random tensors, those of linear layers as bfloat16 holds them.
 */
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [out, dist = join(import.meta.dirname, "../../dist")] = process.argv.slice(2);
const room = (file) => import(pathToFileURL(join(resolve(dist), file)).href);
const { readArtefact, writeArtefact } = await room("artefact/read.js");
const { makeArtefact } = await room("artefact/artefact.js");
const { orthogonalWeight } = await room("artefact/orthogonal.js");
const { seededRandom } = await room("base/rng.js");
const { Tensor } = await room("base/tensor.js");
const { kinds, kindSpecOf } = await room("spec/kinds.js");
const { usualStrength } = await room("spec/intervention.js");

const cases = join(import.meta.dirname, "../fixtures/cases");
const { normal } = seededRandom(7);
const random = (shape, factor = 1) =>
  Tensor.float32(
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => factor * normal()),
  );

/** Every case of one intervention of the kind, except generation. */
async function casesOf(family, kind) {
  const found = [];
  for (const name of await readdir(join(cases, family))) {
    const { representations, generate } = JSON.parse(await readFile(join(cases, family, name, "case.json"), "utf8"));
    const types = new Set(representations.map(({ intervention_type }) => intervention_type));
    if (generate === null && types.size === 1 && types.has(kindSpecOf(kind).pyveneClass)) found.push(name);
  }
  return found;
}

async function randomOf(kind) {
  const [d, r] = [32, 4];
  const square = await orthogonalWeight(random([d, d]), identity(d));
  const columns = square.toFloat32();
  const made = {
    rotation: () => Tensor.float32([d, r], Float32Array.from({ length: d * r }, (_, i) => columns[Math.floor(i / r) * d + (i % r)])),
    weight: () => random([r, d], 0.3).to("bfloat16"),
    bias: () => (kind === "consreft" || kind === "lobireft" ? random([r]) : random([r]).to("bfloat16")),
  };
  const tensors = new Map(Object.keys(kindSpecOf(kind).tensors).map((role) => [`key.${role}`, made[role]()]));
  const intervention = {
    key: "layer_2_comp_block_output_unit_pos_nunit_1#0",
    kind,
    site: { layer: 2, component: "block_output", unit: "pos" },
    maxUnits: 1,
    parameters: {},
    tensors: Object.fromEntries(Object.keys(kindSpecOf(kind).tensors).map((role) => [role, `key.${role}`])),
    dimension: null,
    strength: usualStrength(kind),
    tokens: { prompt: "none", generated: "all" },
  };
  return makeArtefact(draftOf([intervention]), tensors);
}

function identity(n) {
  return Tensor.float32(
    [n, n],
    Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
  );
}

function draftOf(interventions) {
  const base = { model: "tiny", architecture: null, layers: null, hiddenSize: null };
  return { name: "kinds", summary: "", license: "unknown", base, mode: "parallel", interventions };
}

async function write(folder, artefact) {
  const { files, notices } = await writeArtefact(folder, artefact);
  for (const notice of notices) console.error(`${folder}: ${notice}`);
  return files.includes("config.json");
}

for (const family of ["gpt2", "llama"]) {
  for (const kind of kinds) {
    const { pyveneClass, pyveneModule } = kindSpecOf(kind);
    if (pyveneClass === undefined) continue;
    for (const name of await casesOf(family, kind)) {
      const { artefact } = await readArtefact(join(cases, family, name, "saved"));
      const { format, files, pyvene, ...draft } = artefact.manifest;
      const written = await write(join(out, family, kind, name, "original"), artefact);
      if (written) await write(join(out, family, kind, name, "anew"), makeArtefact(draft, artefact.tensors));
      if (kind !== "autoencoder") continue;
      const interventions = [{ ...draft.interventions[0], dimension: [1, 40] }];
      await write(join(out, family, kind, name, "two-latents"), makeArtefact({ ...draft, interventions }, artefact.tensors));
    }
    if (pyveneModule === "pyreft.interventions" && kindSpecOf(kind).pyveneCannotLoad === undefined) {
      await write(join(out, family, kind, "random", "anew"), await randomOf(kind));
    }
  }
}
