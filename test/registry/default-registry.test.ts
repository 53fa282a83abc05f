/** The registry that comes with vene: whole, what its recipes give, and of one mind with the published schemas. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { Ajv2020 } from "ajv/dist/2020.js";
import { faultsOf, recipes } from "../../examples/registry/build.ts";
import { resolveIntervention } from "../../src/registry/resolve.ts";
import { searchInterventions } from "../../src/registry/search.ts";
import { lockfileSchema } from "../../src/spec/registry-lockfile.ts";
import { renderSchemas } from "../../src/spec/write-schemas.ts";
import { honest, machine, scratch } from "./places.ts";

const root = join(import.meta.dirname, "../..");
const registry = join(root, "registry");

describe("registry/", () => {
  test("is sound, and publishing its releases again gives the same tree; recipes give the same tensors", async () => {
    expect(await faultsOf(root, scratch())).toEqual([]);
  });

  test("has every recipe by its bare name, with licence, method and base", async () => {
    const { cacheFolder, hub } = machine([]);
    for (const { name, version } of recipes) {
      const { release, pinned } = await resolveIntervention(name.replace("vene/", ""), { cacheFolder, hub });
      expect(pinned).toMatch(new RegExp(`^${name}@sha256:`));
      expect(release).toMatchObject({ name, version, license: "apache-2.0", base: { architecture: "llama" } });
      expect(release.provenance?.method).toMatch(/^(inference-time intervention|difference of means)/);
    }
    const { found } = await searchInterventions({ cacheFolder, hub, text: "honest", base: "Llama-2-7b-chat-hf" });
    expect(found.map(({ name }) => name)).toEqual(["vene/honest-llama2-chat-7b"]);
  });

  test("the demo's lockfile names the intervention beside it", async () => {
    const lockfile = lockfileSchema.parse(JSON.parse(readFileSync(join(honest, "../interventions.lock.json"), "utf8")));
    const { cacheFolder, hub } = machine([]);
    for (const [text, entry] of Object.entries(lockfile.interventions)) {
      const { digest, release } = await resolveIntervention(text, { cacheFolder, hub, registry });
      expect(entry).toMatchObject({ digest, files: Object.fromEntries(release.files.map((f) => [f.path, f.sha256])) });
    }
    expect(Object.keys(lockfile.interventions)).toEqual(["vene/honest-truthful-tiny@^1"]);
  });

  test("every document follows its published schema", () => {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false });
    const validator = (name: string) => ajv.compile(JSON.parse(renderSchemas().get(`${name}.schema.json`)!));
    const kinds: [pattern: RegExp, schema: string, lines: boolean][] = [
      [/^registry\.json$/, "registry", false],
      [/^index\/.*\.jsonl$/, "registry-index-line", true],
      [/^aliases\/.*\.json$/, "registry-aliases", false],
      [/^manifests\/.*\.json$/, "registry-release", false],
      [/^log\/\d+\.jsonl$/, "registry-log-entry", true],
      [/^log\/head\.json$/, "registry-log-head", false],
      [/^search\.json$/, "registry-search", false],
      [/^search\/.*\.jsonl$/, "registry-search-row", true],
    ];
    const paths = readdirSync(registry, { recursive: true }).map(String);
    for (const [pattern, schema, lines] of kinds) {
      const validate = validator(schema);
      const found = paths.filter((path) => pattern.test(path));
      expect([schema, found.length > 0]).toEqual([schema, true]);
      for (const path of found) {
        const text = readFileSync(join(registry, path), "utf8");
        for (const one of lines ? text.trimEnd().split("\n") : [text]) {
          expect([path, validate(JSON.parse(one)), validate.errors]).toEqual([path, true, null]);
        }
      }
      expect(validate({ nonsense: true, registry: 7, seq: "x" })).toBe(false);
    }
  });
});
