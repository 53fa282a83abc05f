/** One line on stderr about work that takes longer than a second; nothing when stderr is no terminal. */
import type { ProgressEvent } from "../index.ts";
import type { CommandContext } from "./io.ts";

const PATIENCE_MS = 1000;
const EVERY_MS = 100;

export class Progress {
  readonly #context: CommandContext;
  readonly #now: () => number;
  #phase = "";
  #began = 0;
  #shownAt = Number.NEGATIVE_INFINITY;
  #visible = false;

  constructor(context: CommandContext, now: () => number = () => performance.now()) {
    this.#context = context;
    this.#now = now;
  }

  /** Shows the event if its phase has gone on for a second, or at once where the event loop is about to be blocked. */
  report(event: ProgressEvent, atOnce = false): void {
    const { quiet, stderr } = this.#context;
    if (quiet || !stderr.isTerminal) return;
    const now = this.#now();
    if (event.phase !== this.#phase) {
      this.#phase = event.phase;
      this.#began = now;
    }
    if (!atOnce && (now - this.#began < PATIENCE_MS || now - this.#shownAt < EVERY_MS)) return;
    this.#shownAt = now;
    this.#visible = true;
    stderr.write(`\r\u001b[2K${describe(event)}`);
  }

  /** Takes the line away: before anything else is printed. */
  clear(): void {
    if (this.#visible) this.#context.stderr.write("\r\u001b[2K");
    this.#visible = false;
    this.#phase = "";
  }
}

function describe({ phase, done, total, unit }: ProgressEvent): string {
  const amount = unit === "bytes" ? (count: number) => `${(count / 1e6).toFixed(0)} MB` : String;
  if (total === undefined) return done === 0 ? `${phase} ...` : `${phase}: ${amount(done)}`;
  const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
  const counted = unit === "bytes" ? "" : ` ${unit}`;
  return `${phase}: ${amount(done)} of ${amount(total)}${counted} (${percent} %)`;
}
