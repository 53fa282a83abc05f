/** Reads pickles of protocol 2 into a tree of symbols: nothing is imported, called or constructed. */
import { messageOf, VeneError } from "../base/errors.ts";
import { opcodeNames } from "./pickle-opcodes.ts";
import { checkPickleTree, type PicklePersistent, type PickleValue, refusePickle } from "./pickle-tree.ts";

export interface PickleOptions {
  /** What messages call the pickle. */
  readonly name: string;
  /** Whether a global, as "module.name", may be mentioned. */
  readonly allows: (global: string) => boolean;
  /** Containers within one another; 64 unless told. */
  readonly maxDepth?: number;
  /** Values pushed or kept in the memo, and values of the tree with shared parts counted each time; 2 million unless told. */
  readonly maxValues?: number;
  /** Length in bytes; 32 MiB unless told. */
  readonly maxBytes?: number;
}

/** A tree (shared parts allowed, no cycles, depth bounded, so recursion is safe) and every outside object it mentions. */
export interface Pickle {
  readonly value: PickleValue;
  readonly persistent: readonly PicklePersistent[];
}

/**
 * Runs the opcodes that torch's own weights-only reader runs. Throws `pickle-refused` for any other opcode, any other global,
 * a cycle or a limit; `pickle-invalid` for anything that no pickler writes.
 */
export function readPickle(bytes: Uint8Array, options: PickleOptions): Pickle {
  const maxBytes = options.maxBytes ?? 32 * 2 ** 20;
  if (bytes.length > maxBytes)
    refusePickle(options.name, `the pickle has ${bytes.length} bytes, the limit is ${maxBytes}`);
  const machine = new Machine(bytes, options);
  const value = machine.run();
  checkPickleTree(value, options);
  return { value, persistent: machine.persistent };
}

class Machine {
  readonly persistent: PicklePersistent[] = [];
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #options: PickleOptions;
  readonly #memo = new Map<number, PickleValue>();
  readonly #below: PickleValue[][] = [];
  #stack: PickleValue[] = [];
  #at = 0;
  #valuesLeft: number;

  constructor(bytes: Uint8Array, options: PickleOptions) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#options = options;
    this.#valuesLeft = options.maxValues ?? 2_000_000;
  }

  run(): PickleValue {
    if (this.#bytes[0] !== 0x80) this.fail("it does not begin with a protocol number");
    for (;;) {
      const opcode = this.uint8();
      if (opcode === STOP) break;
      const operation = operations.get(opcode);
      if (operation === undefined) {
        const known = opcodeNames.get(opcode);
        if (known === undefined) this.fail(`byte 0x${opcode.toString(16)} is no opcode`);
        refusePickle(this.#options.name, `the opcode ${known} at byte ${this.#at - 1} is not on the list`);
      }
      operation(this);
    }
    const value = this.pop();
    if (this.#stack.length > 0 || this.#below.length > 0) this.fail("values are left over at its end");
    if (this.#at < this.#bytes.length) this.fail(`${this.#bytes.length - this.#at} bytes follow its end`);
    return value;
  }

  push(value: PickleValue): void {
    this.#count();
    this.#stack.push(value);
  }

  pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined) this.fail("it takes a value from an empty stack");
    return value;
  }

  top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined) this.fail("it looks at an empty stack");
    return value;
  }

  mark(): void {
    this.#count();
    this.#below.push(this.#stack);
    this.#stack = [];
  }

  /** Everything since the last mark, which is removed. */
  popMark(): PickleValue[] {
    const items = this.#stack;
    const below = this.#below.pop();
    if (below === undefined) this.fail("it closes a mark that it never set");
    this.#stack = below;
    return items;
  }

  remember(index: number): void {
    this.#count();
    this.#memo.set(index, this.top());
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) this.fail(`it recalls memo ${index}, which was never stored`);
    this.push(value);
  }

  global(): void {
    const name = `${this.#line()}.${this.#line()}`;
    if (!this.#options.allows(name)) {
      refusePickle(this.#options.name, `it names ${name}, which is not on the list of globals`, { global: name });
    }
    this.push({ kind: "global", name });
  }

  /** REDUCE and NEWOBJ: arguments on top of the callee. */
  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (typeof callee !== "object" || callee?.kind !== "global") this.fail("it calls something that is not a global");
    if (typeof args !== "object" || args?.kind !== "tuple") this.fail(`it calls ${callee.name} without a tuple`);
    this.push({ kind: "call", callee: callee.name, args: args.items, entries: [], state: undefined });
  }

  build(): void {
    const state = this.pop();
    const target = this.top();
    if (typeof target !== "object" || target?.kind !== "call" || target.state !== undefined) {
      this.fail("it sets the state of something that has none");
    }
    target.state = state;
  }

  setItems(pairs: readonly PickleValue[]): void {
    const target = this.top();
    if (typeof target !== "object" || (target?.kind !== "dict" && target?.kind !== "call")) {
      this.fail("it sets items of something that is not a dict");
    }
    if (pairs.length % 2 !== 0) this.fail("it sets a key without a value");
    for (let i = 0; i < pairs.length; i += 2) target.entries.push([pairs[i]!, pairs[i + 1]!]);
  }

  append(items: readonly PickleValue[]): void {
    const target = this.top();
    if (typeof target !== "object" || target?.kind !== "list") this.fail("it appends to something that is not a list");
    for (const item of items) target.items.push(item);
  }

  tuple(size: number): void {
    const items: PickleValue[] = [];
    for (let i = 0; i < size; i++) items.unshift(this.pop());
    this.push({ kind: "tuple", items });
  }

  outside(): void {
    const node: PicklePersistent = { kind: "persistent", id: this.pop() };
    this.persistent.push(node);
    this.push(node);
  }

  protocol(): void {
    const version = this.uint8();
    if (this.#at !== 2) this.fail("it states its protocol twice");
    if (version !== 2) refusePickle(this.#options.name, `it is written in protocol ${version}, torch.save's own is 2`);
  }

  uint8(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#skip(2), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#skip(4), true);
  }

  /** The one big-endian number of the format. */
  float64(): number {
    return this.#view.getFloat64(this.#skip(8), false);
  }

  text(length: number): string {
    const start = this.#skip(length);
    try {
      return decoder.decode(this.#bytes.subarray(start, start + length));
    } catch (cause) {
      this.fail(`a string at byte ${start} is not UTF-8: ${messageOf(cause)}`);
    }
  }

  /** Little-endian two's complement; a number when it is safe, else a bigint. */
  long(length: number): number | bigint {
    const start = this.#skip(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[start + i]!);
    const signed = BigInt.asIntN(length * 8, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  fail(problem: string): never {
    const { name } = this.#options;
    throw new VeneError("pickle-invalid", `${name} is not a sound pickle: near byte ${this.#at}, ${problem}`, {
      details: { name, at: this.#at },
    });
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0 || end - this.#at > MAX_GLOBAL) this.fail("the name of a global does not end");
    const line = this.text(end - this.#at);
    this.#at++;
    return line;
  }

  #skip(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) this.fail(`it ends at byte ${this.#bytes.length}, too early`);
    this.#at += length;
    return start;
  }

  #count(): void {
    if (--this.#valuesLeft < 0) refusePickle(this.#options.name, "it holds too many values");
  }
}

const STOP = 0x2e;
/** Longest module or class name. */
const MAX_GLOBAL = 256;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The opcodes that are run; `opcodeNames` names the others for messages. */
const operations: ReadonlyMap<number, (machine: Machine) => void> = new Map([
  [0x80, (machine) => machine.protocol()],
  [0x7d, (machine) => machine.push({ kind: "dict", entries: [] })],
  [0x5d, (machine) => machine.push({ kind: "list", items: [] })],
  [0x29, (machine) => machine.push({ kind: "tuple", items: [] })],
  [0x8f, (machine) => machine.push({ kind: "set" })],
  [0x28, (machine) => machine.mark()],
  [0x74, (machine) => machine.push({ kind: "tuple", items: machine.popMark() })],
  [0x85, (machine) => machine.tuple(1)],
  [0x86, (machine) => machine.tuple(2)],
  [0x87, (machine) => machine.tuple(3)],
  [0x4a, (machine) => machine.push(machine.int32())],
  [0x4b, (machine) => machine.push(machine.uint8())],
  [0x4d, (machine) => machine.push(machine.uint16())],
  [0x8a, (machine) => machine.push(machine.long(machine.uint8()))],
  [0x47, (machine) => machine.push(machine.float64())],
  [0x58, (machine) => machine.push(machine.text(machine.uint32()))],
  [0x55, (machine) => machine.push(machine.text(machine.uint8()))],
  [0x4e, (machine) => machine.push(null)],
  [0x88, (machine) => machine.push(true)],
  [0x89, (machine) => machine.push(false)],
  [0x71, (machine) => machine.remember(machine.uint8())],
  [0x72, (machine) => machine.remember(machine.uint32())],
  [0x68, (machine) => machine.recall(machine.uint8())],
  [0x6a, (machine) => machine.recall(machine.uint32())],
  [0x63, (machine) => machine.global()],
  [0x51, (machine) => machine.outside()],
  [0x52, (machine) => machine.call()],
  [0x81, (machine) => machine.call()],
  [0x62, (machine) => machine.build()],
  [0x73, (machine) => machine.setItems([machine.pop(), machine.pop()].reverse())],
  [0x75, (machine) => machine.setItems(machine.popMark())],
  [0x61, (machine) => machine.append([machine.pop()])],
  [0x65, (machine) => machine.append(machine.popMark())],
] satisfies [number, (machine: Machine) => void][]);
