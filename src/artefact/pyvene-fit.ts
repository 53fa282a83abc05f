/** What of an artefact pyvene can take, what it cannot and why, and what it takes but gets wrong unless told. */
import { VeneError } from "../base/errors.ts";
import type { Intervention } from "../spec/intervention.ts";
import { kindSpecOf } from "../spec/kinds.ts";
import { type Component, formatSite, pyveneComponentOf } from "../spec/sites.ts";
import { formatTokensPolicy, pyveneDefaultTokens } from "../spec/tokens.ts";
import { type Artefact, tensorOf } from "./artefact.ts";
import { sizesOf } from "./check.ts";
import { interventionKeys } from "./pyvene-keys.ts";
import { entriesOf, isTrained, layoutOf } from "./pyvene-layouts.ts";

export function unwritable(key: string, why: string, hint?: string): VeneError {
  return new VeneError("pyvene-unwritable", `${key} cannot be written for pyvene: ${why}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { key, why },
  });
}

/** Throws `pyvene-unwritable` naming the first intervention that pyvene cannot load as it is meant, and the reason. */
export function checkFit(artefact: Artefact): void {
  for (const intervention of artefact.manifest.interventions) {
    for (const rule of rules) {
      const why = rule(intervention, artefact);
      if (why !== undefined) throw unwritable(intervention.key, why);
    }
  }
  checkLinks(artefact.manifest.interventions);
}

/** Each says why an intervention has no equivalent in pyvene, or nothing. */
const rules: readonly ((intervention: Intervention, artefact: Artefact) => string | undefined)[] = [
  classFault,
  strengthFault,
  sourceFault,
  placeFault,
  widthFault,
  dimensionFault,
];

function classFault({ kind }: Intervention): string | undefined {
  const { pyveneClass, pyveneCannotLoad } = kindSpecOf(kind);
  if (pyveneClass === undefined) return `pyvene has nothing like a ${kind}`;
  return pyveneCannotLoad === undefined ? undefined : `a ${kind} is a ${pyveneClass}, and ${pyveneCannotLoad}`;
}

function strengthFault({ kind, strength }: Intervention): string | undefined {
  if (kindSpecOf(kind).strength !== "blend" || strength.default === 1) return undefined;
  return `its strength is ${strength.default}, and a ${kind} of pyvene has only 1`;
}

function sourceFault({ kind, tensors }: Intervention): string | undefined {
  const ignored = isTrained(kind) && Object.hasOwn(tensors, "source");
  return ignored ? `pyvene ignores the constant source of a ${kind}` : undefined;
}

function placeFault({ kind, site, maxUnits }: Intervention): string | undefined {
  if (pyveneComponentOf(site) === undefined) {
    return "its site is a value of an ONNX graph, not a component or a module's side";
  }
  if (!isTrained(kind)) return undefined;
  if (!("layer" in site)) return `pyvene knows no width at a module path, and cannot build a ${kind} without`;
  return kindSpecOf(kind).units === "each" && maxUnits > 1
    ? `pyvene would build a ${kind} for ${maxUnits} units together, and then not apply it to each`
    : undefined;
}

/** Sites that pyvene takes for hidden_size wide, though they are heads x head_dim. */
const headsWide: readonly Component[] = ["query_output", "attention_value_output"];

function widthFault(intervention: Intervention, { manifest, tensors }: Artefact): string | undefined {
  const { kind, site } = intervention;
  const { hiddenSize } = manifest.base;
  const width = sizesOf(intervention, tensors).get("d");
  const mistaken = isTrained(kind) && "component" in site && headsWide.includes(site.component);
  if (!mistaken || hiddenSize === null || width === undefined || width === hiddenSize) return undefined;
  return `${formatSite(site)} is ${width} wide, and pyvene would take it for hidden_size, ${hiddenSize}`;
}

function dimensionFault(intervention: Intervention, { tensors }: Artefact): string | undefined {
  const { kind, dimension } = intervention;
  const { interchange } = layoutOf(kind)!;
  if (dimension === null || interchange === "index") return undefined;
  if (Array.isArray(dimension)) return "it acts on a list of features, which its class does not do in pyvene";
  const { features } = kindSpecOf(kind);
  const all = features === undefined ? 0 : (sizesOf(intervention, tensors).get(features) ?? 0);
  if (interchange === "prefix" || dimension >= all) return undefined;
  return `it acts on the first ${dimension} of ${all} features, and a ${kind} of pyvene on all`;
}

/** pyvene has one module for a link, and the last one's tensors in it. */
function checkLinks(interventions: readonly Intervention[]): void {
  const says = ({ kind, tensors, strength, parameters }: Intervention) =>
    JSON.stringify([kind, tensors, kindSpecOf(kind).strength === "factor" ? strength.default : 1, parameters]);
  const firsts = new Map<Intervention["link"], Intervention>();
  for (const intervention of interventions) {
    if (intervention.link === undefined) continue;
    const first = firsts.get(intervention.link) ?? intervention;
    firsts.set(intervention.link, first);
    if (says(first) !== says(intervention)) {
      throw unwritable(intervention.key, `it is linked to ${first.key}, and is not the same`);
    }
  }
}

/** What pyvene gets wrong, or its user has to say, because it stores none of it. */
export function fitNotices(artefact: Artefact): string[] {
  const { manifest } = artefact;
  const { interventions } = manifest;
  return [
    scaledNotice(interventions),
    tokensNotice(interventions),
    activationNotice(interventions),
    halfNotice(artefact),
  ].filter((notice) => notice !== undefined);
}

function scaledNotice(interventions: readonly Intervention[]): string | undefined {
  const scaled = interventions.find(
    ({ kind, strength }) => kindSpecOf(kind).strength === "factor" && strength.default !== 1,
  );
  return scaled === undefined
    ? undefined
    : `for pyvene, vectors are written multiplied by their strength (${scaled.strength.default}): it has none`;
}

function tokensNotice(interventions: readonly Intervention[]): string | undefined {
  const usual = formatTokensPolicy(pyveneDefaultTokens);
  const policy = interventions.map(({ tokens }) => formatTokensPolicy(tokens)).find((text) => text !== usual);
  return policy === undefined
    ? undefined
    : `pyvene stores no tokens policy (here ${policy}): pass unit_locations and intervene_on_prompt to generate`;
}

function activationNotice(interventions: readonly Intervention[]): string | undefined {
  for (const { key, parameters } of interventions) {
    if ("activation" in parameters && parameters.activation !== "linear") {
      return `pyvene does not store the activation (${key} has ${parameters.activation}) and loads a linear one: set act_fn after loading`;
    }
  }
  return undefined;
}

/** pyreft makes its linear layers bfloat16 and loads whatever there is into that. */
function halfNotice(artefact: Artefact): string | undefined {
  for (const intervention of artefact.manifest.interventions) {
    for (const entry of entriesOf(intervention.kind)) {
      const tensor = "half" in entry ? tensorOf(artefact, intervention, entry.role) : undefined;
      if (tensor === undefined || tensor.dtype === "bfloat16") continue;
      const [values, rounded] = [tensor.toFloat32(), tensor.to("bfloat16").toFloat32()];
      if (values.every((value, i) => value === rounded[i])) continue;
      return `pyreft keeps weight and bias in bfloat16: pyvene will round those of ${intervention.key}`;
    }
  }
  return undefined;
}

/** What pyvene gets wrong in a folder that it saved itself. */
export function originNotices({ manifest }: Artefact): string[] {
  const { pyvene, interventions } = manifest;
  if (pyvene === undefined) return [];
  const keys = interventionKeys(interventions);
  const notices: string[] = [];
  if (
    pyvene.keys.some((key, index) => key !== keys[index] && layoutOf(interventions[index]!.kind)?.after !== undefined)
  ) {
    notices.push("its files are named as pyvene up to 0.1.6 did: later ones do not find them");
  }
  const collect = interventions.find(({ kind }) => kind === "collect");
  if (collect !== undefined) {
    notices.push(`pyvene cannot load ${collect.key} from a folder that pyvene saved; from one that vene wrote, it can`);
  }
  const halved = interventions.find(
    ({ site, dimension }) => "component" in site && headsWide.includes(site.component) && typeof dimension === "number",
  );
  if (halved !== undefined) {
    notices.push(
      `${halved.key} acts on the first ${halved.dimension} features: pyvene takes such a site for hidden_size wide, and leaves the rest where heads x head_dim is more`,
    );
  }
  return notices;
}
