/** numpy's legacy random numbers, RandomState(seed).randn: what pyvene's fixed noise is made of. */

const WORDS = 624;
const MIDDLE = 397;

/** Mersenne Twister MT19937, seeded by one number as numpy's RandomState is (Matsumoto and Nishimura 1998, init_genrand). */
class MersenneTwister {
  readonly #state = new Uint32Array(WORDS);
  #at = WORDS;

  constructor(seed: number) {
    const state = this.#state;
    state[0] = seed >>> 0;
    for (let i = 1; i < WORDS; i++) {
      const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
      state[i] = Math.imul(1812433253, previous) + i;
    }
  }

  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.#next() >>> 5;
    const low = this.#next() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  #next(): number {
    if (this.#at === WORDS) this.#turn();
    let y = this.#state[this.#at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #turn(): void {
    const state = this.#state;
    for (let i = 0; i < WORDS; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % WORDS]! & 0x7fffffff);
      state[i] = state[(i + MIDDLE) % WORDS]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#at = 0;
  }
}

/** `count` standard normals, equal to numpy.random.RandomState(seed).randn(count): the polar method, two at a time. */
export function numpyNormals(seed: number, count: number): Float64Array {
  const twister = new MersenneTwister(seed);
  const out = new Float64Array(count);
  for (let i = 0; i < count; i += 2) {
    let x: number;
    let y: number;
    let square: number;
    do {
      x = 2 * twister.uniform() - 1;
      y = 2 * twister.uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    out[i] = factor * y;
    if (i + 1 < count) out[i + 1] = factor * x;
  }
  return out;
}
