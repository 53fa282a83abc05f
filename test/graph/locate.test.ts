/** The locator on styles that the exports at hand do not have: fused attention and fused residual norms. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { VeneError } from "../../src/base/errors.ts";
import { decodeModel } from "../../src/formats/onnx/codec.ts";
import type { Init } from "../../src/formats/onnx/types.ts";
import { importGraph } from "../../src/graph/import.ts";
import { withoutWeights } from "../../src/graph/import-weights.ts";
import type { Finding, LocatedComponent } from "../../src/graph/locate.ts";
import { locateDecoder } from "../../src/graph/locate-decoder.ts";
import { fixture } from "../support/fixtures.ts";
import { file, node, typed, weights } from "./onnx-files.ts";

const H = 4;
const rows = (name: string, width = H) => typed(name, ["batch", "step", width]);
const matrix = (name: string, from: number, to: number) => weights(name, [from, to], new Array(from * to).fill(0.1));

/** A layer as onnxruntime-genai's builder writes it, with q, k and v packed or apart, residual sums in the norms or apart. */
function layer(style: { packed: boolean; fusedSum: boolean }): Init<"GraphProto"> {
  const skip = (x: string, branch: string, norm: string, sum: string) =>
    style.fusedSum
      ? [node("SkipSimplifiedLayerNormalization", [x, branch, "g"], [norm, "", "", sum], [], "com.microsoft")]
      : [node("Add", [x, branch], [sum]), node("SimplifiedLayerNormalization", [sum, "g"], [norm])];
  const projections = style.packed
    ? [node("MatMul", ["normed", "w.qkv"], ["qkv"])]
    : ["q", "k", "v"].map((part) => node("MatMul", ["normed", "w.out"], [part]));
  const attention = [...(style.packed ? ["qkv", "", ""] : ["q", "k", "v"]), "past_key_values.0.key", "past_value"];
  return {
    node: [
      node("SimplifiedLayerNormalization", ["h", "g"], ["normed"]),
      ...projections,
      node("GroupQueryAttention", attention, ["context", "present.key", "present.value"], [], "com.microsoft"),
      node("MatMul", ["context", "w.out"], ["attended"]),
      ...skip("h", "attended", "mlp.in", "middle"),
      node("MatMul", ["mlp.in", "w.up"], ["gate"]),
      node("MatMul", ["mlp.in", "w.up"], ["up"]),
      node("Sigmoid", ["gate"], ["sigmoid"]),
      node("Mul", ["gate", "sigmoid"], ["act"]),
      node("Mul", ["act", "up"], ["gated"]),
      node("MatMul", ["gated", "w.down"], ["mlp.out"]),
      ...skip("middle", "mlp.out", "final", "end"),
    ],
    initializer: [
      weights("g", [H], [1, 1, 1, 1]),
      matrix("w.qkv", H, 3 * H),
      matrix("w.out", H, H),
      matrix("w.up", H, 6),
      matrix("w.down", 6, H),
    ],
    input: [
      rows("h"),
      typed("past_key_values.0.key", ["batch", 1, "past", H]),
      typed("past_value", ["batch", 1, "past", H]),
    ],
    output: [rows("final")],
    valueInfo: [
      ...["normed", "q", "k", "v", "context", "attended", "mlp.in", "middle", "mlp.out", "end"].map((name) =>
        rows(name),
      ),
      ...["gate", "up", "sigmoid", "act", "gated"].map((name) => rows(name, 6)),
      rows("qkv", 3 * H),
    ],
  };
}

function located(graph: Init<"GraphProto">): (component: LocatedComponent) => string {
  const [found] = locateDecoder(importGraph(decodeModel(file(graph))), ["past_key_values.0.key"]);
  const said = (finding: Finding) => {
    if (typeof finding === "string") return finding;
    return "by" in finding ? `= ${finding.value.name} for ${finding.by.length}` : `= ${finding.name}`;
  };
  return (component) => said(found!.get(component)!);
}

describe("a fused attention", () => {
  test("with parts apart: every component", () => {
    const at = located(layer({ packed: false, fusedSum: false }));
    expect([at("query_output"), at("key_output"), at("value_output")]).toEqual(["= q", "= k", "= v"]);
    expect([at("attention_input"), at("attention_value_output")]).toEqual(["= normed", "= context"]);
    expect([at("attention_output"), at("mlp_output")]).toEqual(["= attended", "= mlp.out"]);
    expect([at("mlp_input"), at("mlp_activation")]).toEqual(["= mlp.in", "= act"]);
    expect([at("block_input"), at("block_output")]).toEqual(["= h", "= end"]);
  });

  test("with parts packed: they are refused by the op's name, the rest is found", () => {
    const at = located(layer({ packed: true, fusedSum: false }));
    expect(at("query_output")).toMatch(/MatMul "node of qkv"/);
    expect(at("key_output")).toMatch(/GroupQueryAttention "node of context"/);
    expect([at("attention_input"), at("attention_output")]).toEqual(["= normed", "= attended"]);
  });
});

test("a fused residual norm keeps the block's output to itself, and is named", () => {
  const at = located(layer({ packed: false, fusedSum: true }));
  expect(at("block_output")).toMatch(/^is inside the SkipSimplifiedLayerNormalization "node of final"/);
  expect(at("block_input")).toBe("= h");
  expect([at("attention_output"), at("mlp_input"), at("mlp_activation"), at("mlp_output")]).toEqual([
    "= attended",
    "= mlp.in",
    "= act",
    "= mlp.out",
  ]);
});

test("a cache that nothing attends to is said so", () => {
  const graph = layer({ packed: false, fusedSum: false });
  const at = located({
    ...graph,
    node: graph.node!.filter(({ opType }) => opType !== "GroupQueryAttention"),
    input: [...graph.input!, rows("context")],
  });
  expect(at("block_output")).toBe("was not found: no attention reads past_key_values.0.key");
});

test("a damaged file is located or refused by code, whatever byte is wrong", () => {
  const whole = readFileSync(fixture("exports", "opt-dy.onnx"));
  const slim = withoutWeights(decodeModel(whole), whole, "opt-dy.onnx");
  const pastKeys = [0, 1, 2, 3].map((layer) => `past_key_values.${layer}.key`);
  const flips = fc.array(fc.tuple(fc.nat(slim.length - 1), fc.integer({ min: 1, max: 255 })), {
    minLength: 1,
    maxLength: 4,
  });
  let located = 0;
  fc.assert(
    fc.property(flips, (changes) => {
      const damaged = Uint8Array.from(slim);
      for (const [at, flip] of changes) damaged[at] = damaged[at]! ^ flip;
      try {
        located += locateDecoder(importGraph(decodeModel(damaged)), pastKeys).length;
      } catch (error) {
        expect(error).toBeInstanceOf(VeneError);
      }
    }),
    { numRuns: 60 },
  );
  expect(located).toBeGreaterThan(0);
});
