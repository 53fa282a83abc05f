/** Arbitrary ONNX messages of every kind for fast-check, generated from the field table, and one model written by hand. */
import fc from "fast-check";
import {
  attributeTypes,
  dataLocations,
  type MessageName,
  messages,
  type Scalar,
} from "../../../src/formats/onnx/messages.ts";
import type { Init } from "../../../src/formats/onnx/types.ts";

export const int64Max = 2n ** 63n - 1n;
export const int64Min = -(2n ** 63n);

const scalars = {
  int64: fc.oneof(fc.bigInt(int64Min, int64Max), fc.constantFrom(int64Max, int64Min, -1n, 0n, 2n ** 53n, 2n ** 56n)),
  uint64: fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.constantFrom(2n ** 64n - 1n, 2n ** 63n)),
  int32: fc.integer(),
  float: fc.float(),
  double: fc.double(),
  string: fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.constantFrom("", "\ufffd", "\ufeffx", "/layers.0/😀"),
  ),
  bytes: fc.uint8Array({ maxLength: 12 }),
} satisfies { [S in Scalar]: fc.Arbitrary<unknown> };

/** Fields that onnx.proto declares as closed enums: other numbers mean "unknown field" to strict codecs. */
const enums: { [field: string]: fc.Arbitrary<number> | undefined } = {
  "AttributeProto.type": fc.constantFrom(...Object.values(attributeTypes)),
  "TensorProto.dataLocation": fc.constantFrom(...Object.values(dataLocations)),
};

type Fields = { readonly [field: string]: readonly [number: number, type: string, oneof?: string] };

const made = new Map<string, fc.Arbitrary<unknown>>();

/** A message with a few of its fields set; below `depth` levels no further messages. */
export function arbitraryMessage<M extends MessageName>(name: M, depth = 8): fc.Arbitrary<Init<M>> {
  const key = `${name} ${depth}`;
  const found = made.get(key) ?? makeMessage(name, depth);
  made.set(key, found);
  return found as fc.Arbitrary<Init<M>>;
}

function makeMessage(name: MessageName, depth: number): fc.Arbitrary<unknown> {
  const fields: Fields = messages[name];
  const usable = Object.keys(fields).filter((field) => depth > 0 || elementOf(fields[field]![1]) in scalars);
  return fc
    .subarray(usable, { minLength: Math.min(2, usable.length), maxLength: Math.min(6, usable.length) })
    .chain((chosen) => {
      const groups = new Set<string>();
      const kept = chosen.filter((field) => {
        const group = fields[field]![2];
        if (group === undefined) return true;
        if (groups.has(group)) return false;
        groups.add(group);
        return true;
      });
      return fc.record(
        Object.fromEntries(kept.map((field) => [field, arbitraryField(name, field, fields[field]![1], depth)])),
      );
    });
}

function arbitraryField(name: MessageName, field: string, type: string, depth: number): fc.Arbitrary<unknown> {
  const element = elementOf(type);
  const one =
    enums[`${name}.${field}`] ??
    (element in scalars ? scalars[element as Scalar] : arbitraryMessage(element as MessageName, depth - 1));
  return type === element ? one : fc.array<unknown>(one, { maxLength: element in scalars ? 5 : 2 });
}

function elementOf(type: string): string {
  return type.replace(/\[.*\]$/, "");
}

const text = (value: string) => new TextEncoder().encode(value);

const branch: Init<"GraphProto"> = {
  name: "then_branch",
  node: [{ opType: "Identity", input: ["outer"], output: ["inner"], name: "/model/layers.0/Identity" }],
  output: [{ name: "inner", type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: "batch" }, {}] } } } }],
};

const tensor: Init<"TensorProto"> = {
  name: "weight",
  dims: [2n, 3n],
  dataType: 1,
  rawData: new Uint8Array(24).map((_, index) => index),
};

const sparse: Init<"SparseTensorProto"> = { values: tensor, indices: { dims: [1n], int64Data: [-5n] }, dims: [9n] };

/** Every kind of attribute, a subgraph in a subgraph, and the int64 values that a `number` would lose. */
export const handWritten: Init<"ModelProto"> = {
  irVersion: 10n,
  producerName: "hand",
  opsetImport: [
    { domain: "", version: 21n },
    { domain: "com.microsoft", version: 1n },
  ],
  metadataProps: [{ key: "k", value: "" }],
  graph: {
    name: "main",
    initializer: [
      tensor,
      {
        name: "outside",
        dims: [4n],
        dataType: 1,
        dataLocation: dataLocations.external,
        externalData: [
          { key: "location", value: "model.safetensors" },
          { key: "offset", value: "128" },
        ],
      },
      { name: "typed", int32Data: [-1, 0, 7], int64Data: [int64Min, 1n], uint64Data: [2n ** 64n - 1n] },
      { name: "floating", floatData: [0.5, Number.NaN], doubleData: [Math.PI], stringData: [text("é"), text("")] },
      { name: "cut", segment: { begin: 0n, end: 3n } },
    ],
    node: [
      {
        opType: "If",
        input: ["cond", ""],
        output: ["out"],
        overload: "o",
        metadataProps: [{ key: "pkg.torch.onnx.name_scopes", value: "['', 'model']" }],
        attribute: [
          { name: "f", type: attributeTypes.float, f: 0 },
          { name: "i", type: attributeTypes.int, i: int64Max },
          { name: "s", type: attributeTypes.string, s: text("x") },
          { name: "t", type: attributeTypes.tensor, t: tensor },
          { name: "g", type: attributeTypes.graph, g: { node: [{ attribute: [{ name: "then_branch", g: branch }] }] } },
          {
            name: "tp",
            type: attributeTypes.typeProto,
            tp: { sequenceType: { elemType: { opaqueType: { name: "q" } } } },
          },
          { name: "floats", type: attributeTypes.floats, floats: [1, -0] },
          { name: "ints", type: attributeTypes.ints, ints: [-1n, int64Max, int64Min, 0n] },
          { name: "strings", type: attributeTypes.strings, strings: [text("a"), text("")] },
          { name: "tensors", type: attributeTypes.tensors, tensors: [tensor, {}] },
          { name: "graphs", type: attributeTypes.graphs, graphs: [branch, {}] },
          { name: "typeProtos", type: attributeTypes.typeProtos, typeProtos: [{ mapType: { keyType: 7 } }] },
          { name: "sparse", type: attributeTypes.sparseTensor, sparseTensor: sparse },
          { name: "sparses", type: attributeTypes.sparseTensors, sparseTensors: [sparse] },
          { name: "ref", refAttrName: "alpha", type: attributeTypes.float },
        ],
      },
    ],
    input: [{ name: "cond", type: { tensorType: { elemType: 9, shape: {} } } }],
    quantizationAnnotation: [
      { tensorName: "weight", quantParameterTensorNames: [{ key: "SCALE_TENSOR", value: "s" }] },
    ],
  },
  functions: [{ name: "fn", domain: "local", input: ["a"], attribute: ["alpha"], attributeProto: [{ name: "b" }] }],
};
