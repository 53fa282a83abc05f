/** Reads NumPy's .npy arrays and .npz archives of them into tensors. Only plain numbers: object arrays are pickles. */
import type { ByteSource } from "../base/bytes.ts";
import { type DType, dtypeSizes, elementCount } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { readZipDirectory, readZipEntry } from "./zip.ts";

/** numpy's names of little-endian element types. */
const npyDtypes: ReadonlyMap<string, DType> = new Map<string, DType>([
  ["<f8", "float64"],
  ["<f4", "float32"],
  ["<f2", "float16"],
  ["<i8", "int64"],
  ["<i4", "int32"],
  ["<i2", "int16"],
  ["|i1", "int8"],
  ["<u8", "uint64"],
  ["<u4", "uint32"],
  ["<u2", "uint16"],
  ["|u1", "uint8"],
  ["|b1", "bool"],
]);

/** What numpy writes: keys sorted, one space after each colon and comma, a comma after the only size. */
const headerPattern =
  /^\{'descr': '([^']{1,16})', 'fortran_order': (True|False), 'shape': \(((?:\d{1,15}, )*\d{1,15},?)?\), \} *\n$/;

const MAX_DIMENSIONS = 32;
/** numpy's own limit on what it reads. */
const MAX_HEADER = 10_000;

/** The arrays of an .npz archive by name, without ".npy". Throws `zip-invalid` and `npy-invalid`. */
export async function readNpz(source: ByteSource): Promise<Map<string, Tensor>> {
  const arrays = new Map<string, Tensor>();
  for (const entry of (await readZipDirectory(source)).values()) {
    const where = `${source.name} (${entry.name})`;
    if (!entry.name.endsWith(".npy")) fail(where, "it is no .npy array");
    arrays.set(entry.name.slice(0, -".npy".length), decodeNpy(await readZipEntry(source, entry), where));
  }
  return arrays;
}

/** One .npy array in row-major order. Throws `npy-invalid`. */
export function decodeNpy(bytes: Uint8Array, name: string): Tensor {
  const { header, dataStart } = headerOf(bytes, name);
  const parts = headerPattern.exec(header);
  if (parts === null) fail(name, `its header ${JSON.stringify(header.slice(0, 120))} is not one that numpy writes`);
  const [, descr, fortran, sizes] = parts as unknown as [string, string, string, string | undefined];
  const dtype = npyDtypes.get(descr);
  if (dtype === undefined)
    fail(name, `its dtype is ${JSON.stringify(descr)}`, `known: ${[...npyDtypes.keys()].join(", ")}`);
  const shape = (sizes ?? "").split(",").flatMap((size) => (size.trim() === "" ? [] : [Number(size)]));
  if (shape.length > MAX_DIMENSIONS) fail(name, `it has ${shape.length} dimensions`);
  if (fortran === "True" && shape.length > 1) {
    fail(name, "it is stored column by column", "in Python: numpy.save(path, numpy.ascontiguousarray(array))");
  }
  const expected = elementCount(shape) * dtypeSizes[dtype];
  if (bytes.length - dataStart !== expected) {
    fail(name, `${descr} (${shape.join(", ")}) needs ${expected} bytes, ${bytes.length - dataStart} follow its header`);
  }
  return new Tensor(dtype, shape, bytes.subarray(dataStart));
}

/** Versions 2 and 3 differ from 1 in the width of the header's length and in allowing UTF-8. */
function headerOf(bytes: Uint8Array, name: string): { header: string; dataStart: number } {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (text.toString("latin1", 0, 6) !== "\x93NUMPY") fail(name, "it does not begin as a .npy array does");
  const version = bytes[6];
  const wide = version === 2 || version === 3;
  const start = wide ? 12 : 10;
  if ((version !== 1 && !wide) || bytes[7] !== 0)
    fail(name, `its version is ${version}.${bytes[7]}, known are 1.0 to 3.0`);
  if (bytes.length < start) fail(name, "it ends within its header");
  const length = wide ? text.readUInt32LE(8) : text.readUInt16LE(8);
  if (length > MAX_HEADER) fail(name, `its header has ${length} bytes, over ${MAX_HEADER}`);
  const dataStart = start + length;
  if (dataStart > bytes.length) fail(name, `its header should end at byte ${dataStart}, it has ${bytes.length}`);
  return { header: text.toString("latin1", start, dataStart), dataStart };
}

function fail(name: string, problem: string, hint?: string): never {
  throw new VeneError("npy-invalid", `${name}: ${problem}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { name },
  });
}
