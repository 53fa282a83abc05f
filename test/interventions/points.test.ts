/** An instrumented graph run by onnxruntime against the edits applied one by one in plain JavaScript. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeModel } from "../../src/formats/onnx/codec.ts";
import { Builder } from "../../src/graph/builder.ts";
import { checkGraph } from "../../src/graph/check.ts";
import { Graph } from "../../src/graph/ir.ts";
import { serialiseGraph } from "../../src/graph/serialise.ts";
import { BankBuilder, type Edit } from "../../src/interventions/bank.ts";
import { instrument, type Lanes, laneNames, type Point } from "../../src/interventions/points.ts";
import { type Feed, Session } from "../../src/runtime/ort.ts";

const [WIDTH, OTHER] = [5, 3];

/** Two points at u, one reading point between them, one at v: all that a session's points can be. */
const points: readonly Point[] = [
  { value: "u", width: WIDTH, edit: "swap", read: false },
  { value: "u", width: WIDTH, edit: "none", read: true },
  { value: "v", width: OTHER, edit: "add", read: true },
  { value: "u", width: WIDTH, edit: "swap", read: true },
];

function smallGraph(): Graph {
  const graph = new Graph("small");
  const builder = new Builder(graph);
  const inputs = [
    graph.addInput("in.u", "float32", ["rows", WIDTH]),
    graph.addInput("in.v", "float32", ["rows", OTHER]),
  ];
  for (const [i, input] of inputs.entries()) graph.addOutput(builder.identity(i === 0 ? "u" : "v", input));
  return graph;
}

let lanes: Lanes;
let session: Session;
beforeAll(async () => {
  const graph = smallGraph();
  lanes = instrument(graph, points);
  checkGraph(graph);
  const bytes = serialiseGraph(graph, () => {
    throw new Error("no weights");
  });
  session = await Session.create(bytes, { weightsFolder: "/" });
});
afterAll(() => session.release());

const float = fc.float({ min: -4, max: 4, noNaN: true });
const vector = (width: number) =>
  fc.array(float, { minLength: width, maxLength: width }).map((values) => Float32Array.from(values));
const mask = (width: number) =>
  fc.array(fc.boolean(), { minLength: width, maxLength: width }).map((bits) => Float32Array.from(bits, Number));

const cases = fc.integer({ min: 1, max: 7 }).chain((rows) => {
  const editing = [0, 2, 3].map((point) => {
    const { width, edit } = points[point]!;
    const touched = fc.subarray([...new Array(rows).keys()]);
    return fc.record({
      point: fc.constant(point),
      add: fc.option(vector(width), { nil: undefined }),
      clear: edit === "swap" ? fc.option(mask(width), { nil: undefined }) : fc.constant(undefined),
      rows: touched,
      strength: fc.float({ min: -2, max: 2, noNaN: true }),
    });
  });
  return fc.record({
    rows: fc.constant(rows),
    u: vector(rows * WIDTH),
    v: vector(rows * OTHER),
    edits: fc.tuple(...editing).chain((all) => fc.subarray(all)),
    read: fc.subarray([...new Array(rows).keys()]),
  });
});

const feed = (data: Float32Array, shape: readonly number[]): Feed => ({ dtype: "float32", data, shape });

async function run(
  rows: number,
  u: Float32Array,
  v: Float32Array,
  edits: readonly Edit[],
  read: readonly number[],
  bank = new BankBuilder(lanes),
) {
  const { select, patterns, vectors, clears } = bank.build(edits, rows);
  const feeds: Record<string, Feed> = {
    "in.u": feed(u, [rows, WIDTH]),
    "in.v": feed(v, [rows, OTHER]),
    [laneNames.select]: feed(select, [rows, patterns]),
    [laneNames.vectors]: feed(vectors, [patterns, lanes.vectorWidth]),
    [laneNames.clears]: feed(clears, [patterns, lanes.clearWidth]),
    [laneNames.readRows]: { dtype: "int64", data: BigInt64Array.from(read, BigInt), shape: [read.length] },
  };
  const names = ["u", "v", ...[1, 2, 3].map(laneNames.read)];
  const results = await session.run(feeds, names);
  return names.map((name) => [...results[name]!.data]);
}

/** The same, one edit after the other. */
function byHand(
  rows: number,
  u: Float32Array,
  v: Float32Array,
  edits: readonly Edit[],
  read: readonly number[],
): number[][] {
  const values = { u: [...u], v: [...v] };
  const reads: number[][] = [];
  points.forEach((point, i) => {
    const current = values[point.value as "u" | "v"];
    if (point.read) reads.push(read.flatMap((row) => current.slice(row * point.width, (row + 1) * point.width)));
    for (const edit of edits.filter((candidate) => candidate.point === i)) {
      edit.rows.forEach((row, at) => {
        for (let column = 0; column < point.width; column++) {
          const old = current[row * point.width + column]!;
          const strength = edit.weights[at]!;
          current[row * point.width + column] =
            old * (1 - strength * (edit.clear?.[column] ?? 0)) + strength * (edit.add?.[column] ?? 0);
        }
      });
    }
  });
  expect(rows * WIDTH).toBe(values.u.length);
  return [values.u, values.v, ...reads];
}

describe("an instrumented graph", () => {
  test("does to each row what the edits say, and reads what was there before the point's own edit", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, u, v, edits: drawn, read }) => {
        const edits = drawn.map(
          ({ strength, ...edit }): Edit => ({ ...edit, weights: edit.rows.map((row) => strength + row / 8) }),
        );
        const found = await run(rows, u, v, edits, read);
        const expected = byHand(rows, u, v, edits, read);
        found.forEach((values, i) => {
          expect(values.length).toBe(expected[i]!.length);
          for (const [at, value] of values.entries()) expect(Math.abs(value - expected[i]![at]!)).toBeLessThan(2e-4);
        });
      }),
      { numRuns: 150 },
    );
  });

  test("without edits is the plain graph, exactly, and so is every row that no edit names", async () => {
    // -0 becomes 0, which no later number shows.
    const unsigned = (lists: readonly (readonly number[])[]) => lists.map((list) => list.map((value) => value + 0));
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, u, v, edits: drawn, read }) => {
        const rowsOf = (values: Float32Array, width: number, some: readonly number[]) =>
          some.flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]);
        const reads = [rowsOf(u, WIDTH, read), rowsOf(v, OTHER, read), rowsOf(u, WIDTH, read)];
        expect(unsigned(await run(rows, u, v, [], read))).toEqual(unsigned([[...u], [...v], ...reads]));
        const edits = drawn.map(({ strength, ...edit }): Edit => {
          const first = edit.rows.slice(0, 1);
          return { ...edit, rows: first, weights: first.map(() => strength) };
        });
        const touched = new Set(edits.flatMap((edit) => edit.rows));
        const others = [...new Array(rows).keys()].filter((row) => !touched.has(row));
        const [found] = await run(rows, u, v, edits, read);
        expect(unsigned([rowsOf(Float32Array.from(found!), WIDTH, others)])).toEqual(
          unsigned([rowsOf(u, WIDTH, others)]),
        );
      }),
      { numRuns: 60 },
    );
  });

  test("a builder that is used again and again is as good as a new one", async () => {
    const bank = new BankBuilder(lanes);
    await fc.assert(
      fc.asyncProperty(fc.array(cases, { minLength: 2, maxLength: 4 }), async (steps) => {
        for (const step of [...steps, steps[0]!, steps[0]!]) {
          const edits = step.edits.map(
            ({ strength, ...edit }): Edit => ({ ...edit, weights: edit.rows.map(() => strength) }),
          );
          expect(await run(step.rows, step.u, step.v, edits, step.read, bank)).toEqual(
            await run(step.rows, step.u, step.v, edits, step.read),
          );
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe("instrument", () => {
  test("a point that neither edits nor reads adds nothing", () => {
    const graph = smallGraph();
    const before = graph.nodes.size;
    const empty = instrument(graph, [{ value: "u", width: WIDTH, edit: "none", read: false }]);
    expect([graph.nodes.size, graph.inputs.length, empty.vectorWidth, empty.reads]).toEqual([before, 2, 0, false]);
  });

  test("points that only add need no clears", () => {
    const graph = smallGraph();
    instrument(graph, [{ value: "v", width: OTHER, edit: "add", read: false }]);
    expect(graph.inputs.map(({ name }) => name)).toEqual(["in.u", "in.v", laneNames.select, laneNames.vectors]);
    const model = decodeModel(serialiseGraph(graph, () => ({ location: "", offset: 0, length: 0 })));
    expect(model.graph!.node.map(({ opType }) => opType)).toEqual([
      "Identity",
      "Identity",
      "MatMul",
      "Identity",
      "Add",
    ]);
  });

  test("a value that the graph lacks is no site", () => {
    expect(() => instrument(smallGraph(), [{ value: "w", width: 1, edit: "add", read: false }])).toThrow(
      expect.objectContaining({ code: "site-unknown" }),
    );
  });
});

describe("BankBuilder", () => {
  const edit = (point: number, rows: number[], weights: number[]): Edit => ({
    point,
    add: new Float32Array(points[point]!.width).fill(1),
    clear: undefined,
    rows,
    weights,
  });

  test("edits of different points on the same rows share a pattern, others do not", () => {
    const patterns = (...edits: Edit[]) => new BankBuilder(lanes).build(edits, 4).patterns;
    expect(patterns()).toBe(1);
    expect(patterns(edit(0, [1, 2], [1, 1]), edit(2, [1, 2], [1, 1]), edit(3, [1, 2], [1, 1]))).toBe(1);
    expect(patterns(edit(0, [1, 2], [1, 1]), edit(2, [1, 2], [1, 0.5]))).toBe(2);
    expect(patterns(edit(0, [1], [1]), edit(0, [1], [1]))).toBe(2);
    expect(patterns(edit(0, [], []), edit(2, [3], [1]))).toBe(1);
  });

  test("repeating the same edits reuses the vectors, whatever the rows", () => {
    const builder = new BankBuilder(lanes);
    const one = edit(0, [0], [1]);
    const first = builder.build([one], 1);
    const second = builder.build([{ ...one, rows: [2], weights: [0.5] }], 3);
    expect(second.vectors).toBe(first.vectors);
    expect([...second.select]).toEqual([0, 0, 0.5]);
    expect(builder.build([edit(0, [0], [1])], 1).vectors).not.toBe(first.vectors);
  });
});
