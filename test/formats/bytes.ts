/** Building and damaging bytes for the tests of the binary formats. */
import { expect } from "@jest/globals";
import fc from "fast-check";
import { type ByteSource, memorySource } from "../../src/base/bytes.ts";
import { type DType, dtypeSizes, dtypes, elementCount } from "../../src/base/dtype.ts";
import { VeneError } from "../../src/base/errors.ts";
import { Tensor } from "../../src/base/tensor.ts";

export function concat(...parts: readonly (Uint8Array | string | readonly number[])[]): Uint8Array {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "utf8") : Buffer.from(part))));
}

export function u16(value: number): Uint8Array {
  return new Uint8Array(Uint16Array.of(value).buffer);
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function u64(value: number | bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

/** Tensors of any dtype and small shape, with any bytes. */
export const anyTensor: fc.Arbitrary<Tensor> = fc
  .tuple(fc.constantFrom<DType>(...dtypes), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }))
  .chain(([dtype, shape]) => {
    const length = elementCount(shape) * dtypeSizes[dtype];
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((bytes) => new Tensor(dtype, shape, new Uint8Array(bytes)));
  });

/** What tests compare: a Tensor's fields, its bytes as hex. */
export function plain(tensor: Tensor): { dtype: DType; shape: readonly number[]; hex: string } {
  return { dtype: tensor.dtype, shape: tensor.shape, hex: Buffer.from(tensor.bytes).toString("hex") };
}

export function plainMap<K>(tensors: ReadonlyMap<K, Tensor>): Map<K, ReturnType<typeof plain>> {
  return new Map([...tensors].map(([name, tensor]) => [name, plain(tensor)]));
}

/** A copy with some bytes overwritten and maybe its end cut off or junk appended. */
export function damaged(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const position = fc.oneof(
    fc.integer({ min: 0, max: bytes.length - 1 }),
    // Headers sit at both ends of these formats; aim there.
    fc.integer({ min: 0, max: Math.min(bytes.length, 400) - 1 }),
    fc.integer({ min: Math.max(0, bytes.length - 400), max: bytes.length - 1 }),
  );
  const value = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
  const edits = fc.array(fc.tuple(position, value), { maxLength: 6 });
  const length = fc.oneof(fc.constant(bytes.length), fc.integer({ min: 0, max: bytes.length + 16 }));
  return fc.tuple(edits, length).map(([changes, size]) => {
    const copy = new Uint8Array(Math.max(size, bytes.length));
    copy.set(bytes);
    for (const [at, byte] of changes) copy[at] = byte;
    return copy.slice(0, size);
  });
}

/** Reads damaged copies: each must decode or throw a VeneError. Gives back how many were refused. */
export async function survivesDamage(
  bytes: Uint8Array,
  read: (source: ByteSource) => Promise<unknown>,
  numRuns: number,
): Promise<number> {
  let refused = 0;
  const property = fc.asyncProperty(damaged(bytes), async (copy) => {
    try {
      await read(memorySource(copy, "damaged"));
    } catch (thrown) {
      if (!(thrown instanceof VeneError)) throw thrown;
      expect(thrown.code).not.toBe("graph-invalid");
      refused++;
    }
  });
  await fc.assert(property, { numRuns });
  return refused;
}
