/** Rows of token ids as one rectangular batch: which columns are real tokens, where each token stands, who may look where. */
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";

/** A rectangular batch. Columns where `real` is 0 are padding, on either side. */
export interface PromptBatch {
  readonly rows: number;
  readonly columns: number;
  /** [rows x columns] */
  readonly ids: Int32Array;
  /** [rows x columns], 1 for real tokens */
  readonly real: Uint8Array;
  /** Per row, the columns of its real tokens in order: position p of a row is column `columnsOf[row][p]`. */
  readonly columnsOf: readonly Int32Array[];
  /** Of a model that takes tensors: what it is fed; there are no ids then, and a column is a position of the places in use. */
  readonly tensors?: Readonly<Record<string, Tensor>>;
}

/** Ragged rows, padded on the left with `padId`. Throws `prompt-invalid` for empty rows or ids outside the vocabulary. */
export function leftPadded(rows: readonly (readonly number[])[], padId: number, vocabulary: number): PromptBatch {
  const columns = rows.reduce((longest, row) => Math.max(longest, row.length), 0);
  const mask = rows.map((row) => [
    ...new Array<number>(columns - row.length).fill(0),
    ...new Array<number>(row.length).fill(1),
  ]);
  const ids = rows.map((row) => [...new Array<number>(columns - row.length).fill(padId), ...row]);
  return rectangular(ids, mask, vocabulary);
}

/** Rows of equal length with an attention mask of the same shape. Throws `prompt-invalid`. */
export function rectangular(
  ids: readonly (readonly number[])[],
  mask: readonly (readonly number[])[] | undefined,
  vocabulary: number,
): PromptBatch {
  if (ids.length === 0) throw new VeneError("prompt-invalid", "there is no prompt");
  const columns = ids[0]!.length;
  const flat = new Int32Array(ids.length * columns);
  const real = new Uint8Array(ids.length * columns).fill(1);
  ids.forEach((row, r) => {
    if (row.length !== columns || (mask !== undefined && mask[r]?.length !== columns)) {
      throw new VeneError(
        "prompt-invalid",
        `row ${r} has ${row.length} ids and ${mask?.[r]?.length ?? columns} mask entries, row 0 has ${columns}`,
        {
          hint: "rows and attention mask must be rectangular; ragged rows go without a mask and are padded",
        },
      );
    }
    row.forEach((id, column) => {
      if (!Number.isInteger(id) || id < 0 || id >= vocabulary) throw outsideVocabulary(id, r, column, vocabulary);
      flat[r * columns + column] = id;
      if (mask !== undefined) real[r * columns + column] = mask[r]![column] === 0 ? 0 : 1;
    });
  });
  const columnsOf = ids.map((_, r) => Int32Array.from(realColumns(real.subarray(r * columns, (r + 1) * columns))));
  const empty = columnsOf.findIndex((row) => row.length === 0);
  if (empty >= 0) {
    throw new VeneError("prompt-invalid", `prompt ${empty} has no tokens`, {
      hint: "a prompt needs at least one token",
    });
  }
  return { rows: ids.length, columns, ids: flat, real, columnsOf };
}

/** The same batch with `count` further columns on the right, real in every row: the tokens to be generated. */
export function extended(batch: PromptBatch, count: number): PromptBatch {
  const columns = batch.columns + count;
  const ids = new Int32Array(batch.rows * columns);
  const real = new Uint8Array(batch.rows * columns).fill(1);
  for (let row = 0; row < batch.rows; row++) {
    ids.set(batch.ids.subarray(row * batch.columns, (row + 1) * batch.columns), row * columns);
    real.set(batch.real.subarray(row * batch.columns, (row + 1) * batch.columns), row * columns);
  }
  const columnsOf = batch.columnsOf.map((prompt) => {
    const grown = new Int32Array(prompt.length + count);
    grown.set(prompt);
    for (let i = 0; i < count; i++) grown[prompt.length + i] = batch.columns + i;
    return grown;
  });
  return { rows: batch.rows, columns, ids, real, columnsOf };
}

/** Ids of columns [from, to) of every row: [rows x (to - from)]. */
export function idsBetween(batch: PromptBatch, from: number, to: number): Int32Array {
  const out = new Int32Array(batch.rows * (to - from));
  for (let row = 0; row < batch.rows; row++) {
    out.set(batch.ids.subarray(row * batch.columns + from, row * batch.columns + to), row * (to - from));
  }
  return out;
}

function realColumns(real: Uint8Array): number[] {
  return [...real.keys()].filter((column) => real[column] === 1);
}

function outsideVocabulary(id: number, row: number, column: number, vocabulary: number): VeneError {
  return new VeneError(
    "prompt-invalid",
    `token ${id} at row ${row}, column ${column} is outside the vocabulary of ${vocabulary}`,
    {
      hint: "the ids come from another tokenizer",
      details: { id, row, column, vocabulary },
    },
  );
}

/** Which of columns [from, to) are real: bool [rows x (to - from)]. */
export function tokenMask(batch: PromptBatch, from: number, to: number): Uint8Array {
  const out = new Uint8Array(batch.rows * (to - from));
  for (let row = 0; row < batch.rows; row++) {
    out.set(batch.real.subarray(row * batch.columns + from, row * batch.columns + to), row * (to - from));
  }
  return out;
}

/** Positions of columns [from, to): how many real tokens stand before, per row. int64 [rows x (to - from)]. */
export function positionIds(batch: PromptBatch, from: number, to: number): BigInt64Array {
  const out = new BigInt64Array(batch.rows * (to - from));
  for (let row = 0; row < batch.rows; row++) {
    let position = -1;
    for (let column = 0; column < to; column++) {
      position += batch.real[row * batch.columns + column]!;
      if (column >= from) out[row * (to - from) + column - from] = BigInt(Math.max(0, position));
    }
  }
  return out;
}

/**
 * Who may look where: bool [rows, 1, to - from, slots + (to - from)] for the step of columns [from, to), when the past
 * holds columns [0, from) in `slots` slots. A padding query sees only itself, so that no row of the softmax is empty. With a
 * window, a query sees that many real tokens, itself included.
 */
export function attentionMask(
  batch: PromptBatch,
  from: number,
  to: number,
  slots: number,
  window = Number.POSITIVE_INFINITY,
): Uint8Array {
  const step = to - from;
  const total = slots + step;
  const out = new Uint8Array(batch.rows * step * total);
  for (let row = 0; row < batch.rows; row++) {
    const real = batch.real.subarray(row * batch.columns, (row + 1) * batch.columns);
    let position = real.subarray(0, from).reduce((count, one) => count + one, -1);
    for (let query = 0; query < step; query++) {
      position += real[from + query]!;
      const line = out.subarray((row * step + query) * total, (row * step + query + 1) * total);
      line.set(real.subarray(0, from));
      line.set(real.subarray(from, from + query + 1), slots);
      const first = batch.columnsOf[row]![position - window + 1] ?? 0;
      line.fill(0, 0, Math.min(first, from));
      line.fill(0, slots, slots + Math.max(0, first - from));
      line[slots + query] = 1;
    }
  }
  return out;
}
