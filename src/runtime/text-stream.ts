/** Token ids to text piece by piece: never half a character, and nothing beyond a stop string. */
import type { Tokenizer } from "./tokenizer.ts";

const INCOMPLETE = "\ufffd";

/**
 * Decodes a growing row. A piece is held back while it ends inside a character (several tokens can share one), and while its
 * end could still become a stop string.
 */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  readonly #stops: readonly string[];
  readonly #ids: number[] = [];
  /** Window: decoding from `#from` gives text up to `#read` that was already handed on. */
  #from = 0;
  #read = 0;
  #held = "";
  #stopped = false;

  constructor(tokenizer: Tokenizer, stops: readonly string[]) {
    this.#tokenizer = tokenizer;
    this.#stops = stops.filter((stop) => stop.length > 0);
  }

  /** Whether a stop string was met. Nothing more is handed on after that. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The text that is certain after one more token; often "". */
  push(id: number): string {
    this.#ids.push(id);
    const before = this.#tokenizer.decode(this.#ids.slice(this.#from, this.#read));
    const now = this.#tokenizer.decode(this.#ids.slice(this.#from));
    if (now.length <= before.length || now.endsWith(INCOMPLETE)) return "";
    this.#from = this.#read;
    this.#read = this.#ids.length;
    return this.#release(now.slice(before.length), false);
  }

  /** What was still held back, at the end of the row. */
  end(): string {
    if (this.#stopped) return "";
    const before = this.#tokenizer.decode(this.#ids.slice(this.#from, this.#read));
    const now = this.#tokenizer.decode(this.#ids.slice(this.#from));
    this.#from = this.#read = this.#ids.length;
    return this.#release(now.slice(before.length), true);
  }

  #release(piece: string, last: boolean): string {
    if (this.#stopped) return "";
    const text = this.#held + piece;
    const stop = Math.min(...this.#stops.map((s) => text.indexOf(s)).filter((at) => at >= 0));
    if (Number.isFinite(stop)) {
      this.#stopped = true;
      this.#held = "";
      return text.slice(0, stop);
    }
    const keep = last ? 0 : this.#possibleStop(text);
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #possibleStop(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (stop.startsWith(text.slice(text.length - length))) longest = length;
      }
    }
    return longest;
  }
}
