/** A cache of things that never change once made; what was longest unused goes first. */

export class BoundedMap<Key, Value> {
  readonly #entries = new Map<Key, Value>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  async getOrMake(key: Key, make: () => Promise<Value>): Promise<Value> {
    const value = this.#entries.get(key) ?? (await make());
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#capacity) this.#entries.delete(this.#entries.keys().next().value!);
    return value;
  }
}
