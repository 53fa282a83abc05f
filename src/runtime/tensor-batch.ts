/** Batches for models that take tensors rather than tokens: a position is one step along the axes between batch and features. */
import type { TensorInterface } from "../arch/family.ts";
import type { Place } from "../arch/sites.ts";
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import type { PromptBatch } from "./prompt-batch.ts";

/** What edits are kept track of by, in all rows together. */
const MOST_POSITIONS = 2 ** 26;

type Sizes = Map<string, number>;

/**
 * The model's inputs by name, all with the same first axis, as a batch whose columns are the positions that `places` have. Throws
 * `prompt-invalid` for missing, unknown or ill-shaped inputs, `locations-invalid` when the places have different positions.
 */
export function tensorBatch(
  { inputs }: TensorInterface,
  tensors: Readonly<Record<string, Tensor>>,
  places: readonly Place[],
): PromptBatch {
  const sizes: Sizes = new Map();
  const extra = Object.keys(tensors).find((name) => inputs.every((input) => input.name !== name));
  if (extra !== undefined) throw invalid(`there is no input ${extra}`, inputs);
  for (const input of inputs) {
    const tensor = tensors[input.name];
    if (tensor === undefined) throw invalid(`the input ${input.name} is missing`, inputs);
    checkInput(input, tensor, sizes, inputs);
  }
  const rows = tensors[inputs[0]!.name]!.shape[0] ?? 0;
  if (rows < 1) throw invalid("the batch has no rows", inputs);
  const columns = positionsOf(places, sizes);
  if (!(rows * columns <= MOST_POSITIONS)) {
    throw new VeneError("locations-invalid", `${rows} rows of ${columns} positions are more than ${MOST_POSITIONS}`, {
      hint: "run fewer rows at a time",
    });
  }
  const every = Int32Array.from({ length: columns }, (_, column) => column);
  return {
    rows,
    columns,
    ids: new Int32Array(0),
    real: new Uint8Array(rows * columns).fill(1),
    columnsOf: new Array<Int32Array>(rows).fill(every),
    tensors,
  };
}

function checkInput(
  { name, dtype, shape }: TensorInterface["inputs"][number],
  tensor: Tensor,
  sizes: Sizes,
  inputs: TensorInterface["inputs"],
): void {
  const fits =
    tensor.shape.length === shape.length && shape.every((size, axis) => bind(size, tensor.shape[axis]!, sizes));
  if (fits && tensor.dtype === dtype) return;
  throw invalid(`${name} is ${tensor.dtype} [${tensor.shape}], expected ${dtype} [${shape}]`, inputs);
}

/** Whether an axis may have that size; a name means the same size everywhere. */
function bind(size: number | string, found: number, sizes: Sizes): boolean {
  if (typeof size === "number") return size === found;
  const known = sizes.get(size) ?? found;
  sizes.set(size, known);
  return known === found;
}

function positionsOf(places: readonly Place[], sizes: ReadonlyMap<string, number>): number {
  const counts = places.map(({ value, positions = [] }) =>
    positions.reduce<number>((count, size) => {
      const found = typeof size === "number" ? size : sizes.get(size);
      if (found !== undefined) return count * found;
      throw new VeneError(
        "locations-invalid",
        `how many positions the ${value} have is not known from the inputs: ${size}`,
      );
    }, 1),
  );
  const [first = 1] = counts;
  const other = counts.findIndex((count) => count !== first);
  if (other < 0) return first;
  throw new VeneError(
    "locations-invalid",
    `the ${places[0]!.value} have ${first} positions, the ${places[other]!.value} have ${counts[other]}`,
    { hint: "values with different numbers of positions need an IntervenableModel each" },
  );
}

/** A model's first output, [rows, ...]; one axis of unknown size follows from the others. */
export function outputTensor({ output }: TensorInterface, rows: number, values: Float32Array): Tensor {
  const known = output.reduce<number>((count, size) => (typeof size === "number" ? count * size : count), rows);
  const open = output.filter((size) => typeof size === "string").length;
  const left = values.length / known;
  const shape = output.map((size) => (typeof size === "number" ? size : left));
  return Tensor.float32(open > 1 ? [rows, values.length / rows] : [rows, ...shape], values);
}

function invalid(what: string, inputs: TensorInterface["inputs"]): VeneError {
  const wanted = inputs.map(({ name, dtype, shape }) => `${name}: ${dtype} [${shape}]`).join(", ");
  return new VeneError("prompt-invalid", `the model's inputs do not fit: ${what}`, {
    hint: `give { tensors: { ... } } with ${wanted}`,
    details: { inputs },
  });
}
