/** What a pickle says, as symbols; and the bounds that make such a tree safe to walk. */
import { VeneError } from "../base/errors.ts";

export type PickleValue = null | boolean | number | bigint | string | PickleNode;

export type PickleNode =
  | { readonly kind: "list"; readonly items: PickleValue[] }
  | { readonly kind: "tuple"; readonly items: readonly PickleValue[] }
  | { readonly kind: "set" }
  | { readonly kind: "dict"; readonly entries: PickleEntry[] }
  | { readonly kind: "global"; readonly name: string }
  | PickleCall
  | PicklePersistent;

export type PickleEntry = readonly [key: PickleValue, value: PickleValue];

/** What Python would build by calling `callee` (REDUCE, NEWOBJ), then setting `entries` and `state` on the result. */
export interface PickleCall {
  readonly kind: "call";
  readonly callee: string;
  readonly args: readonly PickleValue[];
  readonly entries: PickleEntry[];
  state: PickleValue | undefined;
}

/** An object kept outside the pickle; torch's storages are. */
export interface PicklePersistent {
  readonly kind: "persistent";
  readonly id: PickleValue;
}

interface Extent {
  readonly size: number;
  readonly height: number;
}

/** Refuses cycles, deep nesting, and small pickles that unfold into huge trees through sharing: `pickle-refused`. */
export function checkPickleTree(
  root: PickleValue,
  { name, maxDepth = 64, maxValues = 2_000_000 }: { name: string; maxDepth?: number; maxValues?: number },
): void {
  const known = new Map<PickleNode, Extent | "open">();
  const visit = (value: PickleValue, depth: number): Extent => {
    if (typeof value !== "object" || value === null) return { size: 1, height: 0 };
    const seen = known.get(value);
    if (seen === "open") refusePickle(name, "it contains itself");
    let extent = seen;
    if (extent === undefined) {
      if (depth >= maxDepth) refusePickle(name, `it is nested deeper than ${maxDepth} levels`);
      known.set(value, "open");
      let size = 1;
      let height = 0;
      for (const child of childrenOf(value)) {
        const below = visit(child, depth + 1);
        size += below.size;
        height = Math.max(height, below.height);
      }
      extent = { size, height: height + 1 };
      known.set(value, extent);
    }
    if (depth + extent.height > maxDepth) refusePickle(name, `it is nested deeper than ${maxDepth} levels`);
    if (extent.size > maxValues) refusePickle(name, `it unfolds into more than ${maxValues} values`);
    return extent;
  };
  visit(root, 0);
}

function childrenOf(node: PickleNode): readonly PickleValue[] {
  const table = children as { readonly [K in PickleNode["kind"]]: (node: PickleNode) => readonly PickleValue[] };
  return table[node.kind](node);
}

const children = {
  list: (node) => node.items,
  tuple: (node) => node.items,
  set: () => [],
  dict: (node) => node.entries.flat(),
  global: () => [],
  call: (node) => [...node.args, ...node.entries.flat(), node.state ?? null],
  persistent: (node) => [node.id],
} satisfies { [K in PickleNode["kind"]]: (node: Extract<PickleNode, { kind: K }>) => readonly PickleValue[] };

/** For what is well-formed but not allowed. */
export function refusePickle(name: string, problem: string, details: Record<string, unknown> = {}): never {
  throw new VeneError("pickle-refused", `${name} was refused: ${problem}`, {
    hint: "nothing in it was run; in Python, save plain tensors: torch.save({name: tensor, ...}, path)",
    details: { name, ...details },
  });
}
