/**
 * Writes every conformance case with the built vene for load_in_pyvene.py: node test/oracle/write-for-pyvene.js OUT [DIST]
 * OUT/original/<family>/<case> has the config.json it came with, OUT/anew/... one that vene made.
 */
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [out, dist = join(import.meta.dirname, "../../dist")] = process.argv.slice(2);
const room = (file) => import(pathToFileURL(join(resolve(dist), "artefact", file)).href);
const { readArtefact, writeArtefact } = await room("read.js");
const { makeArtefact } = await room("artefact.js");

let count = 0;
for (const family of ["gpt2", "llama"]) {
  const cases = join(import.meta.dirname, "../fixtures/cases", family);
  for (const name of await readdir(cases)) {
    const { artefact } = await readArtefact(join(cases, name, "saved"));
    const { format, files, pyvene, ...draft } = artefact.manifest;
    const anew = makeArtefact(draft, artefact.tensors);
    for (const [variant, written] of Object.entries({ original: artefact, anew })) {
      const folder = join(out, variant, family, name);
      const { files: names, notices } = await writeArtefact(folder, written);
      for (const notice of notices) console.error(`${variant}/${family}/${name}: ${notice}`);
      if (names.includes("config.json")) count++;
      else await rm(folder, { recursive: true });
    }
  }
}
console.log(`wrote ${count} folders`);
