/** Sessions: shared where one can serve, kept while somebody uses them, made once however many ask, gone after release. */
import { rm, writeFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { Tensor } from "../../src/base/tensor.ts";
import type { Point } from "../../src/interventions/points.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import type { Lease } from "../../src/runtime/model-sessions.ts";
import { leftPadded } from "../../src/runtime/prompt-batch.ts";
import { TokenRun } from "../../src/runtime/token-run.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture } from "../support/fixtures.ts";
import { randomVector } from "../support/vectors.ts";

let model: Model;
beforeEach(async () => {
  model = await loadModel(fixture("models", "llama"));
});
afterEach(() => model.release());

const point = (layer: number, edit: Point["edit"], read = false): Point => ({
  value: `layers.${layer}.block_output`,
  width: 32,
  edit,
  read,
});

/** Sessions made so far are told by their identity. */
async function shares(offered: readonly Point[], wanted: readonly Point[]): Promise<readonly number[] | undefined> {
  const own = await loadModel(fixture("models", "llama"));
  const [first, second] = [await own.lease(offered), await own.lease(wanted)];
  await own.release();
  return first.session === second.session ? second.indices : undefined;
}

const use = (lease: Lease) => {
  const batch = leftPadded([[1, 2, 3]], 0, 96);
  return new TokenRun(lease, model.shape, batch).step({ ids: batch.ids, logitRows: [2], edits: [] });
};

describe("a session serves", () => {
  test.each<[string, readonly Point[], readonly Point[], readonly number[]]>([
    ["the plain model", [point(1, "swap")], [], []],
    ["the same points", [point(1, "add"), point(2, "swap", true)], [point(1, "add"), point(2, "swap", true)], [0, 1]],
    [
      "fewer of them, in another order of places",
      [point(0, "add"), point(1, "add"), point(2, "add")],
      [point(2, "add"), point(0, "add")],
      [2, 0],
    ],
    ["less than it can", [point(1, "swap", true)], [point(1, "add")], [0]],
    ["reading where it reads and edits", [point(1, "swap", true)], [point(1, "none", true)], [0]],
    [
      "several at one place, by their order",
      [point(1, "add"), point(1, "swap"), point(1, "add")],
      [point(1, "swap"), point(1, "add")],
      [1, 2],
    ],
  ])("%s", async (_, offered, wanted, indices) => {
    expect(await shares(offered, wanted)).toEqual(indices);
  });

  test.each<[string, readonly Point[], readonly Point[]]>([
    ["another place", [point(1, "add")], [point(2, "add")]],
    ["clearing where it only adds", [point(1, "add")], [point(1, "swap")]],
    ["reading where it only edits", [point(1, "swap")], [point(1, "add", true)]],
    ["two at a place where it has one", [point(1, "swap")], [point(1, "add"), point(1, "add")]],
    ["a reversed order at one place", [point(1, "swap"), point(1, "add")], [point(1, "add"), point(1, "swap")]],
  ])("not %s", async (_, offered, wanted) => {
    expect(await shares(offered, wanted)).toBeUndefined();
  });
});

describe("how many", () => {
  test("askers at once get one session between them", async () => {
    const leases = await Promise.all(Array.from({ length: 5 }, () => model.lease([point(1, "add")])));
    expect(new Set(leases.map(({ session }) => session)).size).toBe(1);
    const plain = await Promise.all([model.lease([]), model.lease([])]);
    expect(plain.map(({ session }) => session)).toEqual([leases[0]!.session, leases[0]!.session]);
  });

  test("four are kept of a small model, the least used goes, and comes back when asked for", async () => {
    const first = await model.lease([point(0, "add")]);
    first.done();
    for (const layer of [1, 2, 3]) (await model.lease([point(layer, "add")])).done();
    const again = await model.lease([point(0, "add")]);
    expect(again.session).toBe(first.session);
    again.done();
    const second = await model.lease([point(1, "add")]);
    second.done();
    (await model.lease([point(2, "swap")])).done();
    await expect(use(second)).resolves.toBeDefined();
    (await model.lease([point(3, "swap")])).done();
    (await model.lease([point(1, "swap")])).done();
    await expect(use(first)).rejects.toMatchObject({ code: "released" });
    const renewed = await model.lease([point(0, "add")]);
    expect(renewed.session).not.toBe(first.session);
    await expect(use(renewed)).resolves.toBeDefined();
    renewed.done();
  });

  test("a session in use is never taken away", async () => {
    const held = await model.lease([point(0, "add")]);
    for (const edit of ["add", "swap"] as const)
      for (const layer of [1, 2, 3]) (await model.lease([point(layer, edit)])).done();
    await expect(use(held)).resolves.toBeDefined();
    held.done();
  });

  test("nor one that is asked for while others are being let go", async () => {
    const at = (component: string, layer: number): Point => ({
      value: `layers.${layer}.${component}`,
      width: 32,
      edit: "add",
      read: false,
    });
    const places = ["block_output", "mlp_output"].flatMap((component) =>
      [0, 1, 2].map((layer) => at(component, layer)),
    );
    const held: Lease[] = [];
    for (const place of places) held.push(await model.lease([place]));
    for (const lease of held) lease.done();
    const asked = [at("mlp_input", 0), ...places.slice(0, 3)].map((place) => model.lease([place]));
    for (const lease of await Promise.all(asked)) await expect(use(lease)).resolves.toBeDefined();
  });
});

describe("release", () => {
  test("ends everything, twice if need be", async () => {
    const lease = await model.lease([]);
    const iv = new IntervenableModel(
      { representations: { layer: 1, component: "block_output", interventionType: "zero" } },
      model,
    );
    await model.release();
    await model.release();
    await expect(use(lease)).rejects.toMatchObject({ code: "released" });
    await expect(model.generate([1, 2])).rejects.toMatchObject({ code: "released" });
    await expect(iv.forward({ base: [[1, 2]] })).rejects.toMatchObject({ code: "released" });
    await expect(iv.generate([1, 2])).rejects.toMatchObject({ code: "released" });
    await expect(model.warmUp()).rejects.toMatchObject({ code: "released" });
  });

  test("in the middle of a generation stops it with a code", async () => {
    const loop = async () => {
      for await (const { token } of model.generate([1, 2, 3], { maxNewTokens: 50, eosTokenIds: [] })) {
        expect(token).toBeLessThan(96);
        void model.release();
      }
    };
    await expect(loop()).rejects.toMatchObject({ code: "released" });
  });

  test("while a session is being made leaves none behind", async () => {
    const pending = model.lease([point(2, "add")]);
    await model.release();
    const outcome = await pending.then(use).then(
      () => "ran",
      (error: { code: string }) => error.code,
    );
    expect(outcome).toBe("released");
  });
});

describe("at once on one model", () => {
  test("two interventions and the plain model get what they get alone", async () => {
    const adding = (layer: number) =>
      new IntervenableModel(
        {
          representations: {
            layer,
            component: "block_output",
            interventionType: "addition",
            sourceRepresentation: randomVector(32, layer, 2),
            tokens: { prompt: "all", generated: "all" },
          },
        },
        model,
      );
    const both = [adding(1), adding(2)];
    const options = { maxNewTokens: 20, eosTokenIds: [] };
    const prompt = [1, 17, 88, 42, 5];
    const alone = [
      await both[0]!.generate(prompt, options),
      await both[1]!.generate(prompt, options),
      await model.generate(prompt, options),
    ];
    for (let round = 0; round < 3; round++) {
      const together = await Promise.all([
        both[0]!.generate(prompt, options),
        both[1]!.generate(prompt, options),
        model.generate(prompt, options),
      ]);
      expect(together.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
    }
    expect(new Set(alone.map(({ tokens }) => tokens.join())).size).toBe(3);
  });

  test("in one session: steered and plain streams in step, each with its own cache", async () => {
    const iv = new IntervenableModel(
      {
        representations: {
          layer: 1,
          component: "mlp_output",
          interventionType: "zero",
          tokens: { prompt: "all", generated: "all" },
        },
      },
      model,
    );
    await iv.warmUp();
    const options = { maxNewTokens: 12, eosTokenIds: [] };
    const alone = [(await iv.generate([5, 6, 7], options)).tokens, (await model.generate([5, 6, 7], options)).tokens];
    const iterators = [iv.generate([5, 6, 7], options), model.generate([5, 6, 7], options)].map((stream) =>
      stream[Symbol.asyncIterator](),
    );
    const tokens: number[][] = [[], []];
    for (let step = 0; step < 12; step++) {
      for (const [i, iterator] of iterators.entries()) {
        const { value } = await iterator.next();
        tokens[i]!.push(value!.token);
      }
    }
    expect(tokens).toEqual(alone);
    const lease = await model.lease([]);
    expect(lease.points.length).toBe(1);
    lease.done();
  });
});

describe("a failure to make a session", () => {
  let shop: Workshop;
  beforeAll(async () => {
    shop = await Workshop.open();
  });
  afterAll(() => shop.close());

  test("is not kept: once its cause is gone the same model works", async () => {
    const tensors = (all: Map<string, Tensor>) =>
      new Map([...all].map(([name, tensor]) => [name, tensor.to("bfloat16")]));
    await writeFile(shop.path("cache"), "in the way");
    const own = await loadModel(await shop.checkpoint({ tensors }), { cacheFolder: shop.path("cache") });
    await expect(own.generate([1, 2])).rejects.toMatchObject({ code: "write-failed" });
    await expect(own.warmUp()).rejects.toMatchObject({ code: "write-failed" });
    await rm(shop.path("cache"));
    expect((await own.generate([1, 2], { maxNewTokens: 2, eosTokenIds: [] })).tokens.length).toBe(2);
    await own.release();
  });

  test("by weights that vanished meanwhile is coded", async () => {
    const folder = await shop.checkpoint();
    const own = await loadModel(folder);
    await rm(`${folder}/model.safetensors`);
    await expect(own.generate([1, 2])).rejects.toMatchObject({ name: "VeneError" });
    await own.release();
  });
});
