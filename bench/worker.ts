/** One side of a benchmark in a process of its own, so that memory is its own and sides can take turns. Talks over IPC. */
import { IntervenableModel, loadModel, type Model, type RepresentationConfig } from "../src/index.ts";
import type { SideKind, SideRequest, SideResult } from "./protocol.ts";

const [folder = "", side] = process.argv.slice(2) as [string?, SideKind?];

/** The same prompt and vectors in every process: fixed numbers, no model needed to make them. */
function numbers(count: number, from: (i: number) => number): number[] {
  return Array.from({ length: count }, (_, i) => from(i));
}

function promptOf(model: Model, length: number, seed = 13): number[] {
  return numbers(length, (i) => (i * 7919 + seed) % model.shape.vocabularySize);
}

const everyLayer = (model: Model) => numbers(model.shape.layers, (i) => i);
const patched = ({ shape: { layers } }: Model) => [Math.floor(layers / 3), Math.floor((2 * layers) / 3)];

/** Representations of each kind of side. */
const setups: { readonly [K in Exclude<SideKind, "plain">]: (model: Model) => RepresentationConfig[] } = {
  addition: (model) =>
    everyLayer(model).map((layer) => ({
      layer,
      component: "attention_output",
      interventionType: "addition",
      sourceRepresentation: numbers(model.shape.hiddenSize, (i) => 0.01 * Math.sin(i + layer)),
    })),
  loreft: (model) =>
    everyLayer(model).map((layer) => ({
      layer,
      component: "block_output",
      interventionType: "loreft",
      lowRankDimension: 4,
      seed: layer,
    })),
  patch: (model) => patched(model).map((layer) => ({ layer, component: "block_output", interventionType: "vanilla" })),
};

const started = performance.now();
const model = await loadModel(folder);
const setup = side === undefined || side === "plain" ? undefined : setups[side];
const steering = setup === undefined ? undefined : new IntervenableModel({ representations: setup(model) }, model);
await (steering ?? model).warmUp();
const readyMs = performance.now() - started;

async function forward(length: number): Promise<number> {
  const begin = performance.now();
  await steering!.forward({
    base: [promptOf(model, length)],
    sources: [[promptOf(model, length, 14)], [promptOf(model, length, 15)]],
    unitLocations: { "sources->base": [3, 3] },
  });
  return performance.now() - begin;
}

async function measure(request: SideRequest): Promise<SideResult> {
  const peakRssMb = process.resourceUsage().maxRSS / 1024;
  if (request.work === "forward") {
    const forwardMs = await forward(request.promptTokens);
    return { promptMs: 0, decodeTokensPerSecond: 0, forwardMs, readyMs, peakRssMb };
  }
  const prompt = promptOf(model, request.promptTokens);
  const options = { maxNewTokens: request.newTokens, eosTokenIds: [] };
  const who = request.steer ? steering! : model;
  const { tokens, timings } = await who.generate(prompt, options);
  return {
    promptMs: timings.promptMs,
    forwardMs: 0,
    decodeTokensPerSecond: ((tokens.length - 1) / timings.decodeMs) * 1000,
    readyMs,
    peakRssMb: process.resourceUsage().maxRSS / 1024,
  };
}

process.on("message", (request: SideRequest) => {
  void measure(request).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
process.send?.("ready");
