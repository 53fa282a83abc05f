/** One side of a benchmark in a process of its own, so that memory is its own and sides can take turns. Talks over IPC. */
import { IntervenableModel, loadModel, type Model } from "../src/index.ts";
import type { SideRequest, SideResult } from "./protocol.ts";

const [folder = "", side = "plain"] = process.argv.slice(2);

/** The same prompt and vectors in every process: fixed numbers, no model needed to make them. */
function numbers(count: number, from: (i: number) => number): number[] {
  return Array.from({ length: count }, (_, i) => from(i));
}

function promptOf(model: Model, length: number): number[] {
  return numbers(length, (i) => (i * 7919 + 13) % model.shape.vocabularySize);
}

function steeringOf(model: Model): IntervenableModel {
  const { layers, hiddenSize } = model.shape;
  return new IntervenableModel(
    {
      representations: numbers(layers, (i) => i).map((layer) => ({
        layer,
        component: "attention_output",
        interventionType: "addition",
        sourceRepresentation: numbers(hiddenSize, (i) => 0.01 * Math.sin(i + layer)),
      })),
    },
    model,
  );
}

const started = performance.now();
const model = await loadModel(folder);
const steering = side === "steered" ? steeringOf(model) : undefined;
await (steering ?? model).warmUp();
const readyMs = performance.now() - started;

async function measure(request: SideRequest): Promise<SideResult> {
  const prompt = promptOf(model, request.promptTokens);
  const options = { maxNewTokens: request.newTokens, eosTokenIds: [] };
  const who = request.steer ? steering! : model;
  const { tokens, timings } = await who.generate(prompt, options);
  return {
    promptMs: timings.promptMs,
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
