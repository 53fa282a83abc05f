/** Sites: spellings, layers, and refusal of what is no site. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  components,
  formatSite,
  layerOf,
  parseSite,
  pyveneComponentOf,
  type Site,
  siteOfPyvene,
  siteSchema,
  units,
} from "../../src/spec/sites.ts";

const identifier = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);
const step = fc
  .tuple(identifier, fc.option(fc.nat(99)))
  .map(([name, index]) => (index === null ? name : `${name}[${index}]`));
const unit = fc.constantFrom(...units);
const sites: fc.Arbitrary<Site> = fc.oneof(
  fc.record({ layer: fc.nat(9999), component: fc.constantFrom(...components), unit }),
  fc.record({
    module: fc.array(step, { minLength: 1, maxLength: 5 }).map((steps) => steps.join(".")),
    side: fc.constantFrom("input" as const, "output" as const),
    unit,
  }),
  fc.record({
    value: fc.oneof(fc.string({ minLength: 1, maxLength: 40 }), fc.constantFrom("a unit h", " x ", "layer 3 x")),
    unit,
  }),
);

describe("spellings", () => {
  test("a site reads back from its human spelling", () => {
    fc.assert(
      fc.property(sites, (site) => expect(parseSite(formatSite(site))).toEqual(site)),
      { numRuns: 2000 },
    );
  });

  test("a component or module site reads back from pyvene's spelling", () => {
    fc.assert(
      fc.property(sites, (site) => {
        const component = pyveneComponentOf(site);
        if ("value" in site) expect(component).toBeUndefined();
        else expect(siteOfPyvene("layer" in site ? site.layer : 0, component!, site.unit)).toEqual(site);
      }),
    );
  });

  test.each([
    ["layer 8 block_output", { layer: 8, component: "block_output", unit: "pos" }],
    ["layer 0 head_query_output unit h.pos", { layer: 0, component: "head_query_output", unit: "h.pos" }],
    [
      "model.layers[6].self_attn.o_proj.output",
      { module: "model.layers[6].self_attn.o_proj", side: "output", unit: "pos" },
    ],
    ["transformer.h[2].mlp.input", { module: "transformer.h[2].mlp", side: "input", unit: "pos" }],
    ["value /model/layers.3/Add_output_0", { value: "/model/layers.3/Add_output_0", unit: "pos" }],
  ])("%s", (text, site) => {
    expect(parseSite(text)).toEqual(site);
    expect(formatSite(site as Site)).toBe(text);
    expect(siteSchema.parse(site)).toEqual(site);
  });

  test.each([
    "",
    "block_output",
    "layer 8",
    "layer 8 blockoutput",
    "layer -1 block_output",
    "layer 99999 block_output",
    "model.layers[6].self_attn.o_proj",
    "model/../../etc.output",
    "a b.output",
    "model.layers[].output",
    "value ",
    `value ${"x".repeat(600)}`,
    `${"a.".repeat(5000)}output`,
  ])("%j is refused", (text) => {
    expect(() => parseSite(text)).toThrow(expect.objectContaining({ code: "site-unknown" }));
  });
});

describe("layerOf", () => {
  test("a module path's layer is the one in the path, not pyvene's default 0", () => {
    expect(layerOf(siteOfPyvene(0, "model.layers[31].self_attn.o_proj.output", "pos"))).toBe(31);
    expect(layerOf(siteOfPyvene(5, "transformer.h[2].mlp.input", "pos"))).toBe(2);
    expect(layerOf(siteOfPyvene(0, "model.layers[2].mlp.experts[7].w1.output", "pos"))).toBe(2);
  });

  test("an ONNX value's layer is read from its name where there is one", () => {
    expect(layerOf({ value: "/model/layers.12/self_attn/o_proj/MatMul_output_0", unit: "pos" })).toBe(12);
    expect(layerOf({ value: "/transformer/h.3/Add_output_0", unit: "pos" })).toBe(3);
    expect(layerOf({ value: "logits", unit: "pos" })).toBeUndefined();
    expect(layerOf({ module: "model.embed_tokens", side: "output", unit: "pos" })).toBeUndefined();
  });

  test("a component's layer is its own", () => {
    expect(layerOf({ layer: 7, component: "mlp_output", unit: "pos" })).toBe(7);
  });
});
