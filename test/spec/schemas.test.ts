/** The published JSON Schemas: committed as rendered, and of one mind with zod. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { kinds } from "../../src/spec/kinds.ts";
import { manifestSchema } from "../../src/spec/manifest.ts";
import { renderSchemas } from "../../src/spec/write-schemas.ts";
import { fullManifest, mutatedManifests } from "./manifests.ts";

const committed = join(import.meta.dirname, "../../schemas");

function compiled() {
  const schema: unknown = JSON.parse(renderSchemas().get("intervention.schema.json")!);
  return new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema as object);
}

describe("schemas/", () => {
  test("holds exactly what the zod schemas render to", async () => {
    const rendered = renderSchemas();
    expect((await readdir(committed)).sort()).toEqual([...rendered.keys()].sort());
    for (const [fileName, text] of rendered) expect(await readFile(join(committed, fileName), "utf8")).toBe(text);
  });

  test("names each schema by a URN and describes every kind", () => {
    const schema = JSON.parse(renderSchemas().get("intervention.schema.json")!);
    expect(schema.$id).toBe("urn:vene:schema:intervention:1");
    expect(
      schema.properties.interventions.items.oneOf.map(
        (one: { properties: { kind: { const: string } } }) => one.properties.kind.const,
      ),
    ).toEqual(kinds);
    expect(schema.required).toEqual(["format", "name", "summary", "license", "base", "mode", "interventions", "files"]);
  });
});

describe("zod and JSON Schema", () => {
  test("both accept a manifest that uses everything", () => {
    const validate = compiled();
    expect(validate(fullManifest())).toBe(true);
    expect(manifestSchema.safeParse(fullManifest()).success).toBe(true);
  });

  test("never disagree on mutated manifests, and see both outcomes", () => {
    const validate = compiled();
    const seen = { valid: 0, invalid: 0 };
    fc.assert(
      fc.property(mutatedManifests, (document) => {
        const byZod = manifestSchema.safeParse(document).success;
        seen[byZod ? "valid" : "invalid"] += 1;
        expect(validate(document)).toBe(byZod);
      }),
      { numRuns: 3000, seed: 7 },
    );
    expect(seen.valid).toBeGreaterThan(100);
    expect(seen.invalid).toBeGreaterThan(1000);
  });
});
