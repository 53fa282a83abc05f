/** Reading manifests: defaults, versions, and errors that say where the fault is. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { kindOfPyveneClass, kindSpecOf, kinds } from "../../src/spec/kinds.ts";
import { parseManifest } from "../../src/spec/manifest.ts";
import { migrate } from "../../src/spec/migrations.ts";
import { toolOfVene } from "../../src/spec/tool.ts";
import { fullManifest, mutatedManifests } from "./manifests.ts";

type Json = { [key: string | number]: Json };

/** fullManifest with the value at a path ("interventions/0/kind") replaced or added. */
function withValue(path: string, value: unknown): unknown {
  const manifest = fullManifest();
  const steps = path.split("/");
  let owner = manifest as unknown as Json;
  for (const step of steps.slice(0, -1)) owner = owner[step]!;
  owner[steps.at(-1)!] = value as Json;
  return manifest;
}

function faultOf(manifest: unknown): { code: string; message: string } {
  try {
    parseManifest(manifest);
  } catch (thrown) {
    return thrown as { code: string; message: string };
  }
  throw new Error("accepted");
}

describe("parseManifest", () => {
  test("returns a complete manifest as it is", () => {
    expect(parseManifest(fullManifest())).toEqual(fullManifest());
  });

  test("fills in maxUnits, parameters and dimension", () => {
    const manifest = JSON.parse(JSON.stringify(fullManifest()));
    for (const field of ["maxUnits", "parameters", "dimension"]) delete manifest.interventions[0][field];
    expect(parseManifest(manifest).interventions[0]).toMatchObject({ maxUnits: 1, parameters: {}, dimension: null });
  });

  test("a base that its maker did not record is null, not invented", () => {
    const manifest = { ...fullManifest(), base: { model: null, architecture: null, layers: null, hiddenSize: null } };
    expect(parseManifest(manifest).base.model).toBeNull();
    expect(() => parseManifest({ ...manifest, base: {} })).toThrow(/base\.model: .*; base\.architecture: /);
  });

  test.each<[string, string, string, unknown]>([
    ["an unknown key", 'the document: unrecognized key: "colour"', "colour", 1],
    ["an unknown kind", "interventions[1].kind: ", "interventions/1/kind", "rotate"],
    [
      "a layer of text",
      "interventions[0].site.layer: invalid input: expected number",
      "interventions/0/site/layer",
      "8",
    ],
    ["an unknown component", "interventions[0].site.component: ", "interventions/0/site/component", "residual"],
    [
      "a role the kind lacks",
      'interventions[1].tensors: unrecognized key: "source"',
      "interventions/1/tensors/source",
      "x",
    ],
    ["no digest", 'files["intervention.safetensors"].sha256: ', "files/intervention.safetensors/sha256", "ABC"],
    ["a name with a path in it", "name: ", "name", "../x"],
    ["a key used twice", "interventions[2].key: value.0 is used twice", "interventions/1/key", "value.0"],
    [
      "a default outside the range",
      "interventions[0].strength: default 9 is not between min -4 and max 4",
      "interventions/0/strength/default",
      9,
    ],
    [
      "a layer the base lacks",
      "interventions[0].site.layer: 30, but the base has 30",
      "interventions/0/site/layer",
      30,
    ],
    [
      "an empty token range",
      "interventions[1].tokens: generated from 5 to 5 holds no token",
      "interventions/1/tokens/generated",
      { from: 5, to: 5 },
    ],
    ["missing keys", "pyvene.keys: 1 keys for 3 interventions", "pyvene/keys", ["a"]],
    ["an empty slice", "subspacePartition: [8,8] is an empty range", "interventions/0/subspacePartition", [[8, 8]]],
  ])("%s is refused with its place", (_, message, path, value) => {
    const fault = faultOf(withValue(path, value));
    expect(fault.code).toBe("manifest-invalid");
    expect(fault.message).toContain(message);
  });

  test("two interventions may share a tensor only under one link", () => {
    const shared = (link: string) => {
      const manifest = fullManifest();
      const [first] = manifest.interventions;
      manifest.interventions.push({ ...first!, key: "other", link });
      manifest.pyvene!.keys.push("d");
      return manifest;
    };
    expect(faultOf(shared("strangers")).message).toContain(
      "interventions[3].tensors.source: layer_8.source already belongs to layer_8",
    );
    expect(parseManifest(shared("twins")).interventions).toHaveLength(4);
  });

  test.each([null, 1, "x", [], {}, { format: "1" }, { format: 0 }, { format: 1.5 }, { format: null }])(
    "%j is refused",
    (json) => {
      expect(() => parseManifest(json)).toThrow(expect.objectContaining({ code: "manifest-invalid" }));
    },
  );

  test("a newer format says to upgrade", () => {
    expect(() => parseManifest({ ...fullManifest(), format: 2 })).toThrow(
      expect.objectContaining({
        code: "format-newer",
        hint: "upgrade vene",
        details: { name: "intervention.json", format: 2, current: 1 },
      }),
    );
  });

  test("any document is a manifest or a coded error, with a bounded message", () => {
    fc.assert(
      fc.property(fc.oneof(mutatedManifests, fc.jsonValue()), (document) => {
        try {
          parseManifest(document);
        } catch (thrown) {
          expect((thrown as { code: string }).code).toMatch(/^(manifest-invalid|format-newer)$/);
          expect((thrown as Error).message.length).toBeLessThan(2800);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("migrate", () => {
  const steps = {
    1: (document: object) => ({ ...document, format: 2, two: true }),
    2: (document: object) => ({ ...document, format: 3, three: true }),
  };

  test("goes step by step and leaves the input alone", () => {
    const old = { format: 1, name: "a" };
    expect(migrate(old, "m", 3, steps)).toEqual({ format: 3, name: "a", two: true, three: true });
    expect(old).toEqual({ format: 1, name: "a" });
    expect(migrate({ format: 3 }, "m", 3, steps)).toEqual({ format: 3 });
  });

  test("a missing or idle step is an error, not a silent pass", () => {
    expect(() => migrate({ format: 1 }, "m", 2, {})).toThrow(expect.objectContaining({ code: "manifest-invalid" }));
    expect(() => migrate({ format: 1 }, "m", 2, { 1: (d) => d })).toThrow(/did not become 2/);
  });
});

describe("kinds", () => {
  test("pyvene's classes lead back to their kinds", () => {
    for (const kind of kinds) {
      const { pyveneClass } = kindSpecOf(kind);
      if (pyveneClass !== undefined) expect(kindOfPyveneClass(pyveneClass)).toBe(kind);
    }
    expect(kinds.filter((kind) => kindSpecOf(kind).pyveneClass === undefined)).toEqual(["lora", "custom"]);
    expect(kindOfPyveneClass("toString")).toBeUndefined();
  });

  test("the tool's version is the package's", async () => {
    const text = await readFile(join(import.meta.dirname, "../../package.json"), "utf8");
    expect(toolOfVene).toEqual({ name: "vene", version: (JSON.parse(text) as { version: string }).version });
  });
});
