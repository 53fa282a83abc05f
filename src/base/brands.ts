/** Strings that must not be mixed up, told apart by the type checker. */

declare const brand: unique symbol;

export type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** 64 lower-case hex digits. */
export type Sha256 = Branded<string, "Sha256">;

/** The key pyvene gives an intervention, e.g. `layer_20_comp_block_output_unit_pos_nunit_1#0`. */
export type InterventionKey = Branded<string, "InterventionKey">;

export function isSha256(text: string): text is Sha256 {
  return /^[0-9a-f]{64}$/.test(text);
}
