/** What a manifest must fulfil beyond its schema: things that agree with each other. */
import { type Intervention, tensorNames } from "./intervention.ts";
import { kindSpecOf } from "./kinds.ts";
import type { Manifest } from "./manifest.ts";
import { tokensFault } from "./tokens.ts";

/** Every broken rule as "path: what is wrong"; empty when all is well. */
export function manifestFaults(manifest: Manifest): string[] {
  const faults: string[] = [];
  const keys = new Set<string>();
  manifest.interventions.forEach((intervention, index) => {
    const path = `interventions[${index}]`;
    if (keys.has(intervention.key)) faults.push(`${path}.key: ${intervention.key} is used twice`);
    keys.add(intervention.key);
    for (const fault of interventionFaults(intervention, manifest)) faults.push(`${path}${fault}`);
  });
  faults.push(...sharedTensorFaults(manifest));
  const owned = manifest.pyvene?.keys.length ?? manifest.interventions.length;
  if (owned !== manifest.interventions.length) {
    faults.push(`pyvene.keys: ${owned} keys for ${manifest.interventions.length} interventions`);
  }
  return faults;
}

function interventionFaults(intervention: Intervention, manifest: Manifest): string[] {
  const faults: string[] = [];
  const { min, max, default: usual } = intervention.strength;
  if (!(min <= usual && usual <= max)) {
    faults.push(`.strength: default ${usual} is not between min ${min} and max ${max}`);
  }
  const tokens = tokensFault(intervention.tokens);
  if (tokens !== undefined) faults.push(`.tokens: ${tokens}`);
  const { layers } = manifest.base;
  if (layers !== null && "layer" in intervention.site && intervention.site.layer >= layers) {
    faults.push(`.site.layer: ${intervention.site.layer}, but the base has ${layers} layers`);
  }
  const given = new Set(tensorNames(intervention).map(([role]) => role));
  if (kindSpecOf(intervention.kind).constantSource === "required" && !given.has("source")) {
    faults.push(".tensors.source: absent");
  }
  for (const part of intervention.subspacePartition ?? []) {
    if (part.length === 2 && part[0]! >= part[1]!) faults.push(`.subspacePartition: [${part}] is an empty range`);
  }
  return faults;
}

/** A tensor belongs to one intervention, unless a link says that several share it. */
function sharedTensorFaults(manifest: Manifest): string[] {
  const faults: string[] = [];
  const owners = new Map<string, Intervention>();
  manifest.interventions.forEach((intervention, index) => {
    for (const [role, name] of tensorNames(intervention)) {
      const owner = owners.get(name) ?? intervention;
      owners.set(name, owner);
      if (owner !== intervention && (owner.link === undefined || owner.link !== intervention.link)) {
        faults.push(`interventions[${index}].tensors.${role}: ${name} already belongs to ${owner.key}`);
      }
    }
  });
  return faults;
}
