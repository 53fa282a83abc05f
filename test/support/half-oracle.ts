/** A second, slow answer for half precision: exact rationals in bigint, nearest by comparison, ties to even. */

export interface HalfFormat {
  readonly exponentBits: number;
  readonly fractionBits: number;
}

export const float16: HalfFormat = { exponentBits: 5, fractionBits: 10 };
export const bfloat16: HalfFormat = { exponentBits: 8, fractionBits: 7 };

/** All float32 values are whole multiples of 2^-149: this is the multiple. */
export function scaledOfFloat32(value: number): bigint {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, Math.abs(value));
  const word = view.getUint32(0);
  const exponent = word >>> 23;
  const fraction = BigInt(word & 0x7fffff);
  return exponent === 0 ? fraction : (fraction | 0x800000n) << BigInt(exponent - 1);
}

/** The magnitude of a bit pattern (its sign bit ignored) as a multiple of 2^-149; Infinity's pattern gives the next power of two. */
export function scaledOfPattern(bits: number, { exponentBits, fractionBits }: HalfFormat): bigint {
  const fraction = BigInt(bits & ((1 << fractionBits) - 1));
  const exponent = (bits >> fractionBits) & ((1 << exponentBits) - 1);
  const bias = (1 << (exponentBits - 1)) - 1;
  const unit = 149 + 1 - bias - fractionBits;
  if (exponent === 0) return fraction << BigInt(unit);
  return (fraction | (1n << BigInt(fractionBits))) << BigInt(unit + exponent - 1);
}

/** The pattern nearest to a float32 that is not NaN, by bisection over the magnitudes, which are ordered as their patterns. */
export function nearestPattern(value: number, format: HalfFormat): number {
  const infinity = ((1 << format.exponentBits) - 1) << format.fractionBits;
  const sign = Object.is(value, -0) || value < 0 ? 1 << (format.exponentBits + format.fractionBits) : 0;
  if (!Number.isFinite(value)) return sign | infinity;
  const target = scaledOfFloat32(value);
  let low = 0;
  let high = infinity;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (scaledOfPattern(middle, format) <= target) low = middle;
    else high = middle;
  }
  const below = target - scaledOfPattern(low, format);
  const above = scaledOfPattern(high, format) - target;
  const up = above < below || (above === below && (low & 1) === 1);
  return sign | (up ? high : low);
}
