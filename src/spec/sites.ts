/** Sites: where in a model an intervention acts, their zod schema, and their spellings in pyvene and for people. */
import { z } from "zod";
import { VeneError } from "../base/errors.ts";
import { textUpTo } from "./text.ts";

/**
 * pyvene's abstract component names that hold for every decoder family (pyvene/models/<family>/modelings_intervenable_*.py),
 * and what other families have in place of attention: a mixer (Mamba).
 */
export const components = [
  "block_input",
  "block_output",
  "mlp_activation",
  "mlp_output",
  "mlp_input",
  "attention_value_output",
  "head_attention_value_output",
  "attention_weight",
  "attention_output",
  "attention_input",
  "query_output",
  "key_output",
  "value_output",
  "head_query_output",
  "head_key_output",
  "head_value_output",
  "mixer_input",
  "mixer_output",
] as const;

/** One of {@link components}. */
export type Component = (typeof components)[number];

/** pyvene's units: position, head, head and position, recurrent step. */
export const units = ["pos", "h", "h.pos", "t"] as const;

/** One of {@link units}. */
export type Unit = (typeof units)[number];

/** Layers a site may name; far above any real model, so that a hostile number is refused early. */
const MAX_LAYER = 9999;

/**
 * A module path in pyvene's spelling without its side: identifiers joined by dots, each with any number of [index]. As it ends
 * up in file names it can hold nothing else.
 */
const modulePath = /^[A-Za-z_][A-Za-z0-9_]*(\[[0-9]{1,6}\])*(\.[A-Za-z0-9_]+(\[[0-9]{1,6}\])*)*$/;
const MAX_PATH = 160;

const unitSchema = z.enum(units).meta({ description: "what a location counts: pos, h, h.pos (pyvene) or t" });

/** A family-neutral component of a layer. */
export const componentSiteSchema = z.strictObject({
  layer: z.int().min(0).max(MAX_LAYER).meta({ description: "0-based" }),
  component: z.enum(components),
  unit: unitSchema,
});

/** The input or output of a module of the original PyTorch model. */
export const moduleSiteSchema = z.strictObject({
  module: z
    .string()
    .max(MAX_PATH)
    .regex(modulePath)
    .meta({ description: "path in the PyTorch model, without side", examples: ["model.layers[6].self_attn.o_proj"] }),
  side: z.enum(["input", "output"]),
  unit: unitSchema,
});

/** Any value of an ONNX graph, by name. */
export const valueSiteSchema = z.strictObject({
  value: textUpTo(512).meta({ description: "name of a value in the ONNX graph" }),
  unit: unitSchema,
});

/** Where an intervention acts. */
export const siteSchema = z
  .union([componentSiteSchema, moduleSiteSchema, valueSiteSchema])
  .meta({ id: "site", description: "where in the model: a layer's component, a module's side, or an ONNX value" });

export type Site = z.infer<typeof siteSchema>;

const unitSuffix = / unit (pos|h|h\.pos|t)$/;

/** True for one of {@link components}. */
export function isComponent(name: string): name is Component {
  return (components as readonly string[]).includes(name);
}

/** True for one of {@link units}. */
export function isUnit(name: string): name is Unit {
  return (units as readonly string[]).includes(name);
}

/**
 * The layer a site lies in, 0-based: given outright, or read from the path's or the name's first layer index. Undefined when
 * the path has none (an embedding, a final norm). Never pyvene's field 0, which is a meaningless 0 beside a module path.
 */
export function layerOf(site: Site): number | undefined {
  if ("layer" in site) return site.layer;
  const text = "module" in site ? site.module : site.value;
  const found = /\[(\d{1,6})\]/.exec(text) ?? /(?:^|[^a-z])(?:layers?|h|blocks?|cells)[._/](\d{1,6})(?!\d)/i.exec(text);
  return found === null ? undefined : Number(found[1]);
}

/**
 * The site pyvene means by a representation's layer, component and unit. A component with a dot is a module path that ends in
 * ".input" or ".output"; `layer` is then ignored. Throws `site-unknown`.
 */
export function siteOfPyvene(layer: number, component: string, unit: Unit): Site {
  if (isComponent(component)) {
    if (Number.isInteger(layer) && layer >= 0 && layer <= MAX_LAYER) return { layer, component, unit };
    throw new VeneError("site-unknown", `layer ${layer} is not a number from 0 to ${MAX_LAYER}`, {
      details: { layer },
    });
  }
  const path = /^(.+)\.(input|output)$/s.exec(component);
  if (path === null || path[1]!.length > MAX_PATH || !modulePath.test(path[1]!)) {
    throw new VeneError("site-unknown", `${quoted(component)} is neither a component nor a module path`, {
      hint: `components: ${components.join(", ")}; a module path ends in .input or .output`,
      details: { component },
    });
  }
  return { module: path[1]!, side: path[2] as "input" | "output", unit };
}

const residualComponents: readonly Component[] = [
  "block_input",
  "block_output",
  "mlp_input",
  "mlp_output",
  "attention_input",
  "attention_output",
  "mixer_input",
  "mixer_output",
];
const residualInput = /(^|\.)(self_attn|attn|mlp|[qkv]_proj|gate_proj|up_proj|c_attn|c_fc|(layers|h)\[\d+\])$/;
const residualOutput = /(^|\.)(self_attn|attn|mlp|o_proj|out_proj|down_proj|c_proj|(layers|h)\[\d+\])$/;

/** True where activations are surely as wide as the model's hidden size; false where they may or may not be. */
export function hasHiddenWidth(site: Site): boolean {
  if ("component" in site) return residualComponents.includes(site.component);
  if ("value" in site) return false;
  return (site.side === "input" ? residualInput : residualOutput).test(site.module);
}

/** What pyvene writes into its config for a site ("block_output", "model.layers[6].self_attn.o_proj.output"); undefined for ONNX values. */
export function pyveneComponentOf(site: Site): string | undefined {
  if ("component" in site) return site.component;
  return "module" in site ? `${site.module}.${site.side}` : undefined;
}

/**
 * A site as people write it: "layer 8 block_output", "model.layers[6].self_attn.o_proj.output" or "value <name>", followed by
 * " unit <unit>" where the unit is not pos. {@link parseSite} reads it back.
 */
export function formatSite(site: Site): string {
  const endsLikeUnit = "value" in site && unitSuffix.test(site.value);
  const unit = site.unit === "pos" && !endsLikeUnit ? "" : ` unit ${site.unit}`;
  if ("layer" in site) return `layer ${site.layer} ${site.component}${unit}`;
  return "value" in site ? `value ${site.value}${unit}` : `${site.module}.${site.side}${unit}`;
}

/**
 * Reads {@link formatSite}'s spellings. Throws `site-unknown` with the spellings that would do.
 */
export function parseSite(text: string): Site {
  const suffix = unitSuffix.exec(text);
  const body = suffix === null ? text : text.slice(0, suffix.index);
  const unit = (suffix?.[1] ?? "pos") as Unit;
  const named = /^layer (\d{1,6}) (\S+)$/.exec(body);
  if (named !== null && isComponent(named[2]!)) return siteOfPyvene(Number(named[1]), named[2], unit);
  const value = body.startsWith("value ") ? valueSiteSchema.safeParse({ value: body.slice(6), unit }) : undefined;
  if (value?.success === true) return value.data;
  if (value === undefined && named === null && body.includes(".")) return siteOfPyvene(0, body, unit);
  throw new VeneError("site-unknown", `${quoted(text)} is not a site`, {
    hint: 'write "layer 8 block_output", "model.layers[6].self_attn.o_proj.output" or "value <name in the ONNX graph>"',
    details: { text, components },
  });
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
