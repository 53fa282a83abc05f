/** The keys pyvene derives from a representation, which name its files: intkey_<key>.bin, spelled in three ways over time. */
import { pyveneComponentOf, type Site } from "../spec/sites.ts";

/** What a key is made of. */
export interface KeyParts {
  readonly layer: number;
  /** A component's name or a module path ending in .input or .output. */
  readonly component: string;
  readonly unit: string;
  readonly maxUnits: number;
}

/** pyvene >= 0.1.7, 0.0.7 to 0.1.6, <= 0.0.6 (IntervenableModel._get_representation_key in each). */
const spellings = {
  underscore: ({ layer, component, unit, maxUnits }: KeyParts) => {
    const tail = `comp_${component.replaceAll(".", "_")}_unit_${unit.replaceAll(".", "_")}_nunit_${maxUnits}`;
    return component.includes(".") ? tail : `layer_${layer}_${tail}`;
  },
  dotted: ({ layer, component, unit, maxUnits }: KeyParts) => {
    const tail = `comp.${component}.unit.${unit}.nunit.${maxUnits}`;
    return component.includes(".") ? tail : `layer.${layer}.${tail}`;
  },
  old: ({ layer, component, unit, maxUnits }: KeyParts) =>
    `layer.${layer}.repr.${component}.unit.${unit}.nunit.${maxUnits}`,
};

export type KeySpelling = keyof typeof spellings;
export type PyveneKeys = { readonly [S in KeySpelling]: string };

/** The spellings, newest first. */
export const keySpellings = Object.keys(spellings) as readonly KeySpelling[];

/** The keys of a config's representations, in order; "#i" counts those that would otherwise be alike. */
export function pyveneKeys(representations: readonly KeyParts[]): PyveneKeys[] {
  const counters = new Map<string, number>();
  return representations.map((parts) => {
    const keyIn = (spelling: KeySpelling) => {
      const prefix = spellings[spelling](parts);
      const slot = `${spelling} ${prefix}`;
      const count = counters.get(slot) ?? 0;
      counters.set(slot, count + 1);
      return `${prefix}#${count}`;
    };
    return { underscore: keyIn("underscore"), dotted: keyIn("dotted"), old: keyIn("old") };
  });
}

/**
 * Keys for interventions of any origin, in order: pyvene's of today where pyvene has the site, and of the same make for a value
 * of an ONNX graph ("comp_value_<name>_unit_pos_nunit_1#0", with what is no letter or digit as "_").
 */
export function interventionKeys(places: readonly { readonly site: Site; readonly maxUnits: number }[]): string[] {
  const parts = places.map(({ site, maxUnits }) => ({
    layer: "layer" in site ? site.layer : 0,
    component: "value" in site ? `value.${site.value.replace(/\W+/g, "_").slice(0, 120)}` : pyveneComponentOf(site)!,
    unit: site.unit,
    maxUnits,
  }));
  return pyveneKeys(parts).map(({ underscore }) => underscore);
}

/** The file that holds the tensors of a key. */
export function keyFileName(key: string): string {
  return `intkey_${key}.bin`;
}
