/** Files of decoders with a cache, as torch, optimum and others export them: input_ids, logits, past_key_values.N -> present.N. */
import type { ConfigReader } from "../arch/config.ts";
import { io } from "../arch/decoder.ts";
import { type CarriedCache, MAX_CONTEXT, MAX_LAYERS, type ModelShape } from "../arch/family.ts";
import { type Place, SiteTable } from "../arch/sites.ts";
import { VeneError } from "../base/errors.ts";
import { Builder } from "../graph/builder.ts";
import { type Alias, rowsName } from "../graph/import-rows.ts";
import { type Graph, redirect, type Value } from "../graph/ir.ts";
import type { Finding, LocatedComponent } from "../graph/locate.ts";
import { locateDecoder } from "../graph/locate-decoder.ts";
import type { Component } from "../spec/sites.ts";
import type { Adapted } from "./onnx-graphs.ts";
import { addValueSites, placeOf } from "./onnx-sites.ts";

const PAST = /^past_key_values\.(\d+)\.(key|value)$/;
/** What exporters call the mask of real tokens, past ones included. */
const MASK = "attention_mask";
/** How many of the last positions get logits, 0 for all: an input of files made for transformers.js. */
const LOGITS_KEPT = "num_logits_to_keep";

/** Undefined for files that are no decoders with a cache. Throws `onnx-unsupported` for decoders of another layout. */
export function adaptDecoder(graph: Graph, config: ConfigReader | undefined): Adapted | undefined {
  const logits = graph.outputs.find(({ name }) => name === io.logits);
  const past = graph.inputs.filter(({ name }) => PAST.test(name));
  if (logits === undefined || past.length === 0 || graph.find(io.inputIds) === undefined) return undefined;
  const layers = past.length / 2;
  checkInputs(graph);
  const cache = cachesOf(graph, past, layers);
  const sites = new SiteTable(layers);
  addValueSites(sites, graph, "tokens");
  const aliases = new Map<string, Alias>();
  const hiddenSize = addComponents(sites, graph, cache, aliases);
  const vocabularySize = logits.shape?.at(-1);
  const isFloat = logits.dtype === "float32" || logits.dtype === "float16";
  if (logits.shape?.length !== 3 || typeof vocabularySize !== "number" || !isFloat) {
    throw unsupported(`its logits are ${logits.dtype} [${logits.shape}], not numbers [batch, positions, vocabulary]`);
  }
  const shape: ModelShape = {
    layers,
    hiddenSize,
    vocabularySize,
    contextLength: contextOf(config),
    cache: [],
    carried: cache,
    ...unpaddedOf(graph),
  };
  return { shape, sites, aliases, adapt: (fresh) => adapt(fresh, vocabularySize) };
}

function inputOf(graph: Graph, name: string): Value | undefined {
  return graph.inputs.find((input) => input.name === name);
}

function checkInputs(graph: Graph): void {
  for (const { name, dtype, shape } of graph.inputs) {
    if (PAST.test(name)) continue;
    const rank = name === LOGITS_KEPT ? 0 : 2;
    const known = [io.inputIds, io.positionIds, MASK, LOGITS_KEPT].includes(name);
    if (known && dtype === "int64" && shape?.length === rank) continue;
    throw unsupported(`its input ${name} is ${dtype ?? "of another type"} [${shape ?? "?"}], which vene does not feed`);
  }
}

/** Padding is on the left, and what shows it is the mask. */
function unpaddedOf(graph: Graph): Pick<ModelShape, "unpadded"> {
  if (inputOf(graph, MASK) === undefined) return { unpadded: "the file has no attention_mask" };
  const core = [...graph.nodes].find(({ op }) => op === "GroupQueryAttention");
  return core === undefined ? {} : { unpadded: "the file's GroupQueryAttention takes rows padded on the right only" };
}

function cachesOf(graph: Graph, past: readonly Value[], layers: number): readonly CarriedCache[] {
  if (!Number.isInteger(layers) || layers > MAX_LAYERS) throw unsupported(`it has ${past.length} caches`);
  return Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) =>
    ["key", "value"].map((part): CarriedCache => {
      const input = `past_key_values.${layer}.${part}`;
      const output = `present.${layer}.${part}`;
      const value = past.find(({ name }) => name === input);
      const [, heads, , size] = value?.shape ?? [];
      const dtype = value?.dtype;
      const present = graph.outputs.some(({ name }) => name === output);
      if (value?.shape?.length !== 4 || typeof heads !== "number" || typeof size !== "number" || !present) {
        throw unsupported(`its cache ${input} [${value?.shape}] -> ${output} is not [batch, heads, past, size]`);
      }
      if (dtype !== "float32" && dtype !== "float16") throw unsupported(`its cache ${input} holds ${dtype}`);
      return { input, output, dtype, shape: [heads, 0, size] };
    }),
  );
}

const headsOf = {
  attention_value_output: "head_attention_value_output",
  query_output: "head_query_output",
  key_output: "head_key_output",
  value_output: "head_value_output",
} as const satisfies { readonly [C in LocatedComponent]?: Component };

/** Adds what the locator finds, or why it does not; returns the width of the residual stream, 0 if nothing tells it. */
function addComponents(
  sites: SiteTable,
  graph: Graph,
  cache: readonly CarriedCache[],
  aliases: Map<string, Alias>,
): number {
  const pastKeys = cache.filter((_, i) => i % 2 === 0).map(({ input }) => input);
  let hidden = 0;
  locateDecoder(graph, pastKeys).forEach((components, layer) => {
    const size = cache[2 * layer]!.shape[2]!;
    for (const [component, finding] of components) {
      const place = placeOfFinding(finding, graph.freeName(`layers.${layer}.${component}`), aliases);
      if (component === "attention_output" && typeof place !== "string") hidden = place.width;
      addComponent(sites, layer, component, place);
      const byHead = (headsOf as { readonly [C in LocatedComponent]?: Component })[component];
      if (byHead !== undefined)
        addComponent(sites, layer, byHead, typeof place === "string" ? place : split(place, size));
    }
    sites.refuse({ layer, component: "attention_weight" }, "is not laid out by rows in files that others exported");
  });
  return hidden;
}

function placeOfFinding(finding: Finding, name: string, aliases: Map<string, Alias>): Place | string {
  if (typeof finding === "string") return finding;
  if (!("by" in finding)) return placeOf(finding, "tokens");
  const place = placeOf(finding.value, "tokens");
  if (typeof place === "string") return place;
  aliases.set(name, { value: finding.value.name, readers: finding.by.map(({ outputs }) => outputs[0]!.name) });
  return { ...place, value: rowsName(name) };
}

function addComponent(sites: SiteTable, layer: number, component: Component, place: Place | string): void {
  if (typeof place === "string") sites.refuse({ layer, component }, place);
  else sites.addComponent(layer, component, place);
}

function split(place: Place, size: number): Place | string {
  const count = place.width / size;
  return Number.isInteger(count) ? { ...place, heads: { count, size } } : `is ${place.width} wide, heads have ${size}`;
}

function contextOf(config: ConfigReader | undefined): number {
  const key = ["max_position_embeddings", "n_positions", "n_ctx"].find((name) => config?.has(name));
  return key === undefined ? MAX_CONTEXT : config!.int(key, undefined, MAX_CONTEXT);
}

/** The mask under the runtime's name, and of the logits only the rows that are asked for. */
function adapt(graph: Graph, vocabulary: number): void {
  const mask = inputOf(graph, MASK);
  if (mask !== undefined) graph.rename(mask, io.realTokens);
  const all = graph.find(io.logits)!;
  const builder = new Builder(graph, "logits.const");
  keepAllLogits(graph, builder);
  graph.outputs.splice(graph.outputs.indexOf(all), 1);
  graph.rename(all, graph.freeName(`${io.logits} of the file`));
  const rows = graph.addInput(io.logitRows, "int64", ["wanted"]);
  const flat = builder.reshape("logits.flat", all, [-1, vocabulary]);
  const wanted = builder.gatherRows(all.dtype === "float32" ? io.logits : "logits.half", flat, rows);
  graph.addOutput(all.dtype === "float32" ? wanted : builder.op("Cast", io.logits, [wanted], { to: 1 }));
}

/** Any row may be asked for. */
function keepAllLogits(graph: Graph, builder: Builder): void {
  const kept = inputOf(graph, LOGITS_KEPT);
  if (kept === undefined) return;
  for (const use of [...kept.uses]) redirect(use, builder.int64([0], true));
  graph.removeInput(kept);
}

function unsupported(what: string): VeneError {
  return new VeneError("onnx-unsupported", `the decoder cannot be run: ${what}`, {
    hint: "export it with optimum or torch.onnx: input_ids, attention_mask, position_ids, past_key_values.N.key and .value",
  });
}
