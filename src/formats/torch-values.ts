/** Turns the symbols of a torch pickle into plain values and tensors: each allowed global has one meaning, written here. */
import { type DType, dtypeSizes, isDType } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import {
  type PickleCall,
  type PickleEntry,
  type PickleNode,
  type PicklePersistent,
  type PickleValue,
  refusePickle,
} from "./pickle-tree.ts";
import { type CopyBudget, materialise, storageTypes } from "./torch-tensors.ts";

/**
 * What a torch file holds. dicts and OrderedDicts are Maps (attributes such as a state_dict's `_metadata` are dropped), lists,
 * tuples, sets and torch.Size are arrays, a torch.dtype is its name ("torch.float16"), Parameters are their tensors.
 */
export type TorchValue =
  | Tensor
  | number
  | bigint
  | string
  | boolean
  | null
  | TorchValue[]
  | Map<string | number, TorchValue>;

/** The bytes of every storage that the pickle mentions. */
export interface StorageContents {
  /** What messages call the pickle. */
  readonly name: string;
  /** By the storage's key. */
  readonly bytes: Map<string, Uint8Array>;
  readonly bigEndian: boolean;
  readonly budget: CopyBudget;
}

/** Whether a torch file may mention this global, as "module.name". */
export function allowsGlobal(global: string): boolean {
  return Object.hasOwn(calls, global) || storageTypes.has(global) || dtypeOf(global) !== undefined;
}

interface StorageReference {
  readonly key: string;
  readonly type: DType | "bytes" | "complex";
  /** Bytes. */
  readonly length: number;
}

/** Reads ("storage", class, key, device, elements). Throws `pickle-invalid`, or `torch-unsupported` for complex numbers. */
export function storageOf(name: string, { id }: PicklePersistent): StorageReference {
  const items = typeof id === "object" && id?.kind === "tuple" ? id.items : [];
  const [word, storageClass, key, , count] = items;
  const className = typeof storageClass === "object" && storageClass?.kind === "global" ? storageClass.name : "";
  const type = storageTypes.get(className);
  const sound = items.length === 5 && word === "storage" && typeof key === "string" && type !== undefined;
  if (!sound || typeof count !== "number" || !Number.isSafeInteger(count) || count < 0) {
    invalid(name, "an object is kept outside the pickle that is no storage");
  }
  if (type === "complex") {
    throw new VeneError("torch-unsupported", `${name}: complex tensors are not read`, {
      hint: "in Python, save torch.view_as_real(tensor)",
      details: { name, storage: className },
    });
  }
  return { key, type, length: count * (type === "bytes" ? 1 : dtypeSizes[type]) };
}

/** The value that the tree stands for; parts that the pickle shares are shared in the result. */
export function resolveTorchValue(root: PickleValue, contents: StorageContents): TorchValue {
  return new Resolver(contents).value(root);
}

/** Recursion is safe: the pickle's reader bounds depth and refuses cycles. */
class Resolver {
  readonly contents: StorageContents;
  readonly #done = new Map<PickleNode, TorchValue>();

  constructor(contents: StorageContents) {
    this.contents = contents;
  }

  value(value: PickleValue): TorchValue {
    if (typeof value !== "object" || value === null) return value;
    const done = this.#done.get(value);
    if (done !== undefined) return done;
    const table = nodes as { readonly [K in PickleNode["kind"]]: (r: Resolver, node: PickleNode) => TorchValue };
    const made = table[value.kind](this, value);
    this.#done.set(value, made);
    return made;
  }

  dict(entries: readonly PickleEntry[]): Map<string | number, TorchValue> {
    const map = new Map<string | number, TorchValue>();
    for (const [key, value] of entries) {
      if (typeof key !== "string" && typeof key !== "number")
        this.invalid("a dict has a key that is no string and no number");
      if (map.has(key)) this.invalid(`a dict has the key ${JSON.stringify(key).slice(0, 80)} twice`);
      map.set(key, this.value(value));
    }
    return map;
  }

  tensor(value: PickleValue | undefined, where: string): Tensor {
    const made = value === undefined ? undefined : this.value(value);
    if (!(made instanceof Tensor)) this.invalid(`${where} is not given a tensor`);
    return made;
  }

  invalid(problem: string): never {
    invalid(this.contents.name, problem);
  }
}

const nodes = {
  list: (resolver, node) => node.items.map((item) => resolver.value(item)),
  tuple: (resolver, node) => node.items.map((item) => resolver.value(item)),
  set: () => [],
  dict: (resolver, node) => resolver.dict(node.entries),
  global: (resolver, node) => {
    if (dtypeOf(node.name) === undefined) resolver.invalid(`${node.name} stands where a value should be`);
    return node.name;
  },
  call: (resolver, node) => {
    if (node.callee !== ORDERED_DICT && (node.entries.length > 0 || node.state !== undefined)) {
      refusePickle(resolver.contents.name, `it sets items or state on what ${node.callee} returns`);
    }
    const make = Object.hasOwn(calls, node.callee) ? calls[node.callee] : undefined;
    if (make === undefined) refusePickle(resolver.contents.name, `it calls ${node.callee}`, { global: node.callee });
    return make(resolver, node);
  },
  persistent: (resolver) => resolver.invalid("a storage stands where a tensor should be"),
} satisfies { [K in PickleNode["kind"]]: (r: Resolver, node: Extract<PickleNode, { kind: K }>) => TorchValue };

const ORDERED_DICT = "collections.OrderedDict";

const calls: { readonly [global: string]: (resolver: Resolver, node: PickleCall) => TorchValue } = {
  [ORDERED_DICT]: (resolver, { args, entries }) => resolver.dict([...pairsOf(resolver, args), ...entries]),
  "torch._utils._rebuild_tensor_v2": (resolver, { args }) => rebuild(resolver, args, undefined, args[6]),
  "torch._utils._rebuild_tensor_v3": (resolver, { args }) => rebuild(resolver, args, args[6] ?? null, args[7]),
  "torch._utils._rebuild_parameter": (resolver, { args }) => resolver.tensor(args[0], "a Parameter"),
  "torch._utils._rebuild_parameter_with_state": (resolver, { args }) => resolver.tensor(args[0], "a Parameter"),
  "torch.nn.parameter.Parameter": (resolver, { args }) => resolver.tensor(args[0], "a Parameter"),
  "torch.Size": (resolver, { args }) => integersOf(resolver, args[0] ?? null, "torch.Size"),
};

/** OrderedDict([[key, value], ...]), the form that Python 2 wrote. */
function pairsOf(resolver: Resolver, args: readonly PickleValue[]): PickleEntry[] {
  const [list] = args;
  if (list === undefined) return [];
  if (typeof list !== "object" || list?.kind !== "list")
    resolver.invalid("an OrderedDict is made of something other than a list");
  return list.items.map((pair) => {
    const items = typeof pair === "object" && (pair?.kind === "list" || pair?.kind === "tuple") ? pair.items : [];
    if (items.length !== 2) resolver.invalid("an OrderedDict is made of something other than pairs");
    return [items[0]!, items[1]!];
  });
}

/** (storage, offset, size, stride, requires_grad, hooks, ...): the view, with v3's dtype or the storage's own. */
function rebuild(
  resolver: Resolver,
  args: readonly PickleValue[],
  dtypeGlobal: PickleValue | undefined,
  metadata: PickleValue | undefined,
): Tensor {
  const [storage, offset, size, stride] = args;
  const { name, bytes, bigEndian, budget } = resolver.contents;
  if (typeof storage !== "object" || storage?.kind !== "persistent")
    resolver.invalid("a tensor is not given a storage");
  const { key, type } = storageOf(name, storage);
  const stated =
    typeof dtypeGlobal === "object" && dtypeGlobal?.kind === "global" ? dtypeOf(dtypeGlobal.name) : undefined;
  const dtype = dtypeGlobal === undefined ? type : stated;
  if (dtype === undefined || dtype === "bytes" || dtype === "complex")
    resolver.invalid("a tensor has no dtype that is known");
  if (typeof offset !== "number") resolver.invalid("a tensor has no offset");
  if (metadata !== undefined && !isEmpty(metadata)) {
    throw new VeneError("torch-unsupported", `${name}: a tensor is marked as conjugated or negated in place`, {
      hint: "in Python, save tensor.resolve_conj().resolve_neg()",
      details: { name },
    });
  }
  const shape = integersOf(resolver, size ?? null, "a tensor's size");
  const strides = integersOf(resolver, stride ?? null, "a tensor's stride");
  return materialise(name, { storage: bytes.get(key)!, dtype, offset, shape, strides, bigEndian }, budget);
}

function integersOf(resolver: Resolver, value: PickleValue, what: string): number[] {
  const resolved = resolver.value(value);
  const integers = Array.isArray(resolved) ? resolved : [Number.NaN];
  if (!integers.every((item) => Number.isSafeInteger(item))) resolver.invalid(`${what} is not a tuple of integers`);
  return integers as number[];
}

function isEmpty(value: PickleValue): boolean {
  return value === null || (typeof value === "object" && value.kind === "dict" && value.entries.length === 0);
}

function dtypeOf(global: string): DType | undefined {
  const name = global.startsWith("torch.") ? global.slice("torch.".length) : "";
  return isDType(name) ? name : undefined;
}

function invalid(name: string, problem: string): never {
  throw new VeneError("pickle-invalid", `${name}: ${problem}`, { details: { name } });
}
