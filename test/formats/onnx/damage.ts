/** Small damage to bytes, for fast-check: bytes set, flipped, inserted, removed, and the end cut off. */
import fc from "fast-check";

export type Change = { at: number; with: number; kind: "set" | "flip" | "insert" | "remove" | "cut" };

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  with: fc.nat(255),
  kind: fc.constantFrom("set", "flip", "insert", "remove", "cut"),
});

const apply: { readonly [K in Change["kind"]]: (bytes: number[], at: number, value: number) => void } = {
  set: (bytes, at, value) => bytes.splice(at, 1, value),
  flip: (bytes, at, value) => bytes.splice(at, 1, (bytes[at] ?? 0) ^ (1 << (value & 7))),
  insert: (bytes, at, value) => bytes.splice(at, 0, value),
  remove: (bytes, at, value) => bytes.splice(at, value & 15),
  cut: (bytes, at) => bytes.splice(at),
};

/** A copy of `bytes` with the changes done one after the other. */
export function damaged(bytes: Uint8Array, changes: readonly Change[]): Uint8Array {
  const list = [...bytes];
  for (const { at, with: value, kind } of changes) apply[kind](list, at % (list.length + 1), value);
  return Uint8Array.from(list);
}

export const arbitraryChanges = fc.array(change, { minLength: 1, maxLength: 4 });
