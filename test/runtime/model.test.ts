/** What a model says about itself, and where it keeps what it converts. */
import { homedir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import { cacheFolder } from "../../src/runtime/cache-folder.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture } from "../support/fixtures.ts";
import { logitsOf } from "../support/logits.ts";

let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

describe("a model", () => {
  test("knows its parameters, dtypes and sizes", async () => {
    const model = await loadModel(fixture("models", "llama"));
    const perLayer = 2 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 56;
    expect(model.parameters).toEqual({ count: 2 * 96 * 32 + 32 + 4 * perLayer, dtypes: ["float32"] });
    expect(model.shape).toMatchObject({ layers: 4, hiddenSize: 32, vocabularySize: 96, contextLength: 64 });
    expect([model.name, model.architecture, model.padTokenId, model.eosTokenIds]).toEqual(["llama", "llama", 0, [2]]);
  });

  test("is named by its config where that has a usable name, else by its folder", async () => {
    const nameOf = async (config: object) => (await loadModel(await shop.checkpoint({ config: { ...config } }))).name;
    expect(await nameOf({ _name_or_path: "me/model" })).toBe("me/model");
    expect(await nameOf({ _name_or_path: "" })).toMatch(/^made-\d+$/);
    const before = process.cwd();
    process.chdir(fixture("models", "llama"));
    const here = await loadModel(".");
    process.chdir(before);
    expect(here.name).toBe("llama");
  });

  test("has a fingerprint: the same in shards and when saved again, another for other weights, dtypes, names or config", async () => {
    const fingerprint = async (folder: string) => (await loadModel(folder)).fingerprint;
    const own = await fingerprint(fixture("models", "llama"));
    expect(await fingerprint(await shop.sharded(3))).toBe(own);
    expect(
      await fingerprint(await shop.checkpoint({ config: { transformers_version: "4.0.0", use_cache: false } })),
    ).toBe(own);
    const changed = [
      await shop.checkpoint({
        tensors: (all) => all.set("model.norm.weight", all.get("model.norm.weight")!.to("float16")),
      }),
      await shop.checkpoint({ tensors: (all) => all.set("extra", Tensor.float32([1], [1])) }),
      await shop.checkpoint({
        tensors: (all) => {
          const weight = all.get("model.layers.2.mlp.up_proj.weight")!;
          const values = weight.toFloat32().slice();
          values[3] = values[3]! + 1e-3;
          return all.set("model.layers.2.mlp.up_proj.weight", Tensor.float32(weight.shape, values));
        },
      }),
      await shop.checkpoint({ config: { rms_norm_eps: 1e-5 } }),
      fixture("models", "llama_mha"),
    ];
    for (const folder of changed) expect(await fingerprint(folder)).not.toBe(own);
  });

  test("whose float32 weights hold NaN says so rather than answer with token 0", async () => {
    const tensors = (all: Map<string, Tensor>) =>
      all.set("model.norm.weight", Tensor.float32([32], new Float32Array(32).fill(Number.NaN)));
    const model = await loadModel(await shop.checkpoint({ tensors }));
    await expect(model.generate([1, 2, 3])).rejects.toMatchObject({
      code: "runtime-failed",
      hint: expect.stringContaining("damaged"),
    });
    await model.release();
  });

  test("takes a number of threads", async () => {
    const model = await loadModel(fixture("models", "llama"), { threads: 1 });
    expect((await logitsOf(model, [1, 2])).length).toBe(192);
    await model.release();
  });
});

test("the cache lies where VENE_CACHE says, else with the user's other caches", () => {
  expect(cacheFolder({ VENE_CACHE: "/a/b", XDG_CACHE_HOME: "/x" })).toBe("/a/b");
  expect(cacheFolder({ VENE_CACHE: "", XDG_CACHE_HOME: "/x" })).toBe("/x/vene");
  expect(cacheFolder({})).toBe(join(homedir(), ".cache", "vene"));
  expect(cacheFolder({ VENE_CACHE: "here" })).toBe(join(process.cwd(), "here"));
});
