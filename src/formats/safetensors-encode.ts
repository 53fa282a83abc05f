/** Writes .safetensors files byte for byte as the Rust crate does, header alone (to stream data after) or whole. */
import { constants } from "node:buffer";
import type { DType } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { byteLength } from "./byte-length.ts";
import { LENGTH_BYTES, MAX_HEADER, type SafetensorsEntry, safetensorsDtypes } from "./safetensors.ts";

export interface SafetensorsPlan {
  /** The opening of the file: length, header, padding. */
  readonly bytes: Uint8Array;
  /** Where each tensor's bytes go, by name, in the order in which they follow the header. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** Bytes of the whole file. */
  readonly size: number;
}

const codes = [...safetensorsDtypes].map(([code, dtype]) => ({ code, dtype }));

function rankOf(dtype: DType): number {
  return codes.findIndex((known) => known.dtype === dtype);
}

/**
 * Lays out a file: widest dtype first, then by name in UTF-8 order, metadata keys sorted, padded with spaces to 8 bytes.
 * Throws `safetensors-invalid` for a name used twice or reserved, or a header over 100 MB.
 */
export function encodeSafetensorsHeader(
  entries: readonly { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] }[],
  metadata?: Readonly<Record<string, string>>,
): SafetensorsPlan {
  const sorted = entries.toSorted((a, b) => rankOf(b.dtype) - rankOf(a.dtype) || compareUtf8(a.name, b.name));
  const parts: string[] = [];
  if (metadata !== undefined) {
    const pairs = Object.entries(metadata).toSorted(([a], [b]) => compareUtf8(a, b));
    parts.push(`"__metadata__":{${pairs.map(([key, value]) => `${quote(key)}:${quote(value)}`)}}`);
  }
  const places = new Map<string, { dtype: DType; shape: readonly number[]; start: number; end: number }>();
  let at = 0;
  for (const { name, dtype, shape } of sorted) {
    if (places.has(name) || name === "__metadata__") {
      throw new VeneError("safetensors-invalid", `two entries of the file would be called ${name}`, {
        details: { name },
      });
    }
    const end = at + (byteLength(dtype, shape) ?? Number.NaN);
    if (!Number.isSafeInteger(end)) {
      throw new VeneError("safetensors-invalid", `${name} [${shape}] is larger than any file`, {
        details: { name, shape },
      });
    }
    const { code } = codes[rankOf(dtype)]!;
    parts.push(`${quote(name)}:{"dtype":"${code}","shape":[${shape}],"data_offsets":[${at},${end}]}`);
    places.set(name, { dtype, shape, start: at, end });
    at = end;
  }
  const bytes = frame(`{${parts.join(",")}}`);
  for (const place of places.values()) {
    place.start += bytes.length;
    place.end += bytes.length;
  }
  return { bytes, tensors: places, size: bytes.length + at };
}

/** The whole file in memory; equal tensors give equal bytes. Throws as `encodeSafetensorsHeader` does. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const entries = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const plan = encodeSafetensorsHeader(entries, metadata);
  if (plan.size > constants.MAX_LENGTH) {
    throw new VeneError("safetensors-invalid", `a file of ${plan.size} bytes does not fit in one buffer`, {
      hint: "lay it out with encodeSafetensorsHeader and stream the tensors after it",
      details: { size: plan.size },
    });
  }
  const out = new Uint8Array(plan.size);
  out.set(plan.bytes);
  for (const [name, { start }] of plan.tensors) out.set(tensors.get(name)!.bytes, start);
  return out;
}

function frame(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > MAX_HEADER) {
    throw new VeneError("safetensors-invalid", `the header needs ${length} bytes, the limit is ${MAX_HEADER}`);
  }
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(" ".charCodeAt(0));
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, LENGTH_BYTES);
  return bytes;
}

function quote(text: string): string {
  if (/\p{Surrogate}/u.test(text)) {
    throw new VeneError("safetensors-invalid", `${JSON.stringify(text)} is not well-formed Unicode`, {
      details: { text },
    });
  }
  return JSON.stringify(text);
}

/** The order of Rust strings, which differs from JavaScript's outside the basic plane. */
function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
