/** Places: every component of every layer, module paths in both spellings, and refusals that say what there is. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { parseSite } from "../../src/spec/sites.ts";
import { fixture } from "../support/fixtures.ts";

let llama: Model;
let gpt2: Model;
beforeAll(async () => {
  llama = await loadModel(fixture("models", "llama"));
  gpt2 = await loadModel(fixture("models", "gpt2"));
});
afterAll(() => Promise.all([llama.release(), gpt2.release()]));

const locate = (model: Model, text: string) => model.sites.locate(parseSite(text));

describe("places", () => {
  test("widths come from the graph: grouped keys are narrower than queries", () => {
    const widths = (model: Model) =>
      Object.fromEntries(model.sites.components().map(([name, { width }]) => [name, width]));
    expect(widths(llama)).toMatchObject({
      block_output: 32,
      query_output: 32,
      key_output: 16,
      value_output: 16,
      mlp_activation: 56,
    });
    expect(widths(gpt2)).toMatchObject({ block_output: 32, key_output: 32, mlp_activation: 128 });
    expect(Object.keys(widths(llama)).length).toBe(16);
    expect(llama.sites.components().find(([name]) => name === "head_key_output")![1].heads).toEqual({
      count: 2,
      size: 8,
    });
  });

  test("a module path means the same in pyvene's and in PyTorch's spelling", () => {
    const pyvene = locate(llama, "model.layers[2].self_attn.o_proj.output");
    expect(locate(llama, "model.layers.2.self_attn.o_proj.output")).toEqual(pyvene);
    expect(pyvene.width).toBe(32);
    expect(locate(gpt2, "transformer.h[1].attn.c_attn.output").width).toBe(96);
  });

  test("a graph value can be named outright", () => {
    const place = locate(llama, "layer 1 mlp_output");
    expect(locate(llama, `value ${place.value}`)).toEqual(place);
  });

  test("layers that are not there", () => {
    for (const text of ["layer 4 block_output", "model.layers[4].mlp.output", "model.layers[4].output"]) {
      expect(() => locate(llama, text)).toThrow(
        expect.objectContaining({ code: "site-out-of-range", details: { layer: 4, layers: 4 } }),
      );
    }
  });

  test.each([
    ["transformer.h[0].mlp.output", ""],
    ["model.layers[1].mlp.gate.output", "model.layers.1.mlp.gate_proj.output"],
    ["model.layers[1].mlp.act_fn.input", "model.layers.1.mlp.act_fn.output"],
    ["value past.0.key", undefined],
    ["value model.norm.weight", undefined],
    ["value __proto__", undefined],
  ])("%s is unknown, and the hint lists what is known", (text, listed) => {
    let thrown: unknown;
    try {
      locate(llama, text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "site-unknown" });
    if (listed !== undefined) expect((thrown as { hint: string }).hint).toContain(listed);
  });
});
