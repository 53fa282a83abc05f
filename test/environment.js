/** A jest environment whose sandbox has the outer realm's typed arrays, which the native side of onnxruntime-node checks for. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestEnvironment } from "jest-environment-node";

const typedArrays = [
  Float32Array,
  Float64Array,
  Int8Array,
  Int16Array,
  Int32Array,
  Uint8Array,
  Uint8ClampedArray,
  Uint16Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
];

export default class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    // Tests never touch the user's own cache of converted weights.
    process.env.VENE_CACHE = join(tmpdir(), "vene-test-cache");
    for (const T of typedArrays) {
      Object.defineProperty(this.global, T.name, { value: T, writable: true, configurable: true });
    }
  }
}
