/** Changes to exported decoders that leave what they compute alone: scrambled names, half-precision caches, further inputs. */
import { readFileSync, writeFileSync } from "node:fs";
import { decodeModel, encodeModel } from "../../src/formats/onnx/codec.ts";
import type { GraphProto, Init } from "../../src/formats/onnx/types.ts";

type Change = (graph: GraphProto) => Init<"GraphProto">;

/** Writes a changed copy of an .onnx file. */
export function changedFile(from: string, to: string, change: Change): string {
  const model = decodeModel(readFileSync(from));
  writeFileSync(to, encodeModel({ ...model, graph: change(model.graph!) }));
  return to;
}

/** Every name but those of inputs and outputs becomes a number, and metadata go. */
export function scrambled(graph: GraphProto): Init<"GraphProto"> {
  const kept = new Set(["", ...graph.input.map(({ name }) => name), ...graph.output.map(({ name }) => name)]);
  const names = new Map<string, string>();
  const rename = (name = "") => {
    if (kept.has(name)) return name;
    const known = names.get(name) ?? `${(names.size * 7919) % 1_000_003}`;
    names.set(name, known);
    return known;
  };
  return {
    ...graph,
    name: "g",
    valueInfo: graph.valueInfo.map((value) => ({ ...value, name: rename(value.name) })),
    metadataProps: [],
    initializer: graph.initializer.map((tensor) => ({ ...tensor, name: rename(tensor.name) })),
    node: graph.node.map((node, i) => ({
      ...node,
      name: `n${i}`,
      metadataProps: [],
      input: node.input.map(rename),
      output: node.output.map(rename),
    })),
  };
}

/** The caches and the logits as float16 at the border, as in transformers.js's _fp16 files. */
export function halfAtTheBorder(graph: GraphProto): Init<"GraphProto"> {
  const isCache = (name = "") => /^(past_key_values|present)\.|^logits$/.test(name);
  const inside = (name: string) => (isCache(name) ? `${name}.float` : name);
  const typed = (value: GraphProto["input"][number]) =>
    isCache(value.name)
      ? { ...value, type: { ...value.type, tensorType: { ...value.type!.tensorType, elemType: 10 } } }
      : value;
  const cast = (from: string, name: string, to: number) => ({
    opType: "Cast",
    input: [from],
    output: [name],
    attribute: [{ name: "to", type: 2, i: BigInt(to) }],
  });
  const named = (values: GraphProto["input"]) => values.flatMap(({ name = "" }) => (isCache(name) ? [name] : []));
  return {
    ...graph,
    valueInfo: [],
    input: graph.input.map(typed),
    output: graph.output.map(typed),
    node: [
      ...named(graph.input).map((name) => cast(name, inside(name), 1)),
      ...graph.node.map((node) => ({ ...node, input: node.input.map(inside), output: node.output.map(inside) })),
      ...named(graph.output).map((name) => cast(inside(name), name, 10)),
    ],
  };
}
