/** The tensors of an intervention that a config describes: those given, and beginnings for those that training will change. */
import { elementCount } from "../../base/dtype.ts";
import { VeneError } from "../../base/errors.ts";
import { seededRandom } from "../../base/rng.ts";
import { Tensor } from "../../base/tensor.ts";
import type { DefinedIntervention } from "../../interventions/definitions.ts";
import { isAffine } from "../../interventions/kind.ts";
import { isBuiltIn, kindTable } from "../../interventions/table.ts";
import { type Kind, kindSpecOf } from "../../spec/kinds.ts";

/** A tensor in any of the forms a config takes: plain numbers are a vector. */
export type TensorLike = Tensor | Float32Array | readonly number[];

export function asTensor(values: TensorLike): Tensor {
  return values instanceof Tensor ? values : Tensor.float32([values.length], Float32Array.from(values));
}

export interface TensorRequest {
  readonly key: string;
  readonly kind: Kind;
  readonly definition: DefinedIntervention | undefined;
  readonly given: Readonly<Record<string, TensorLike>>;
  /** Sizes known by their symbols: d, n, and r, f, m where they are. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly seed: number;
}

/**
 * Tensors by role. What is not given begins as pyvene's begins (rotations orthonormal and random, masks and boundaries at their
 * usual values). Throws `intervention-invalid` for unknown roles and for what has neither values nor a size to begin with.
 */
export function tensorsOfConfig(request: TensorRequest): ReadonlyMap<string, Tensor> {
  const { key, kind, definition, given } = request;
  const roles = definition?.tensors ?? rolesOf(kind);
  const unknown = Object.keys(given).find((role) => !Object.hasOwn(roles, role));
  if (unknown !== undefined) {
    const known = `its tensors: ${Object.keys(roles).join(", ") || "none"}`;
    throw new VeneError("intervention-invalid", `${key}: ${kind} interventions have no tensor ${unknown}`, {
      hint: unknown === "source" ? "a constant source is given as sourceRepresentation" : known,
      details: { role: unknown },
    });
  }
  const tensors = new Map<string, Tensor>();
  for (const [role, shape] of Object.entries(roles)) {
    const values = given[role];
    const tensor = values === undefined ? begun(request, role, shape) : asTensor(values);
    if (tensor !== undefined) checkSizes(request, role, shape, tensor);
    if (tensor !== undefined) tensors.set(role, tensor);
  }
  return tensors;
}

function rolesOf(kind: Kind): Readonly<Record<string, string>> {
  const { source: _, ...roles } = kindSpecOf(kind).tensors;
  return Object.fromEntries(Object.entries(roles).map(([role, { shape }]) => [role, shape]));
}

function begun({ key, kind, sizes, seed }: TensorRequest, role: string, symbols: string): Tensor | undefined {
  const required = kindSpecOf(kind).tensors[role]?.required ?? true;
  if (!required) return undefined;
  const implementation = isBuiltIn(kind) ? kindTable[kind] : undefined;
  const initial = implementation === undefined || isAffine(implementation) ? undefined : implementation.initial[role];
  const letters = symbols.slice(1, -1).split(", ");
  const missing = letters.find((letter) => !sizes.has(letter));
  if (initial === undefined || missing !== undefined) {
    throw new VeneError("intervention-invalid", `${key}: ${kind} interventions need their tensor ${role} ${symbols}`, {
      hint:
        initial === undefined
          ? `give tensors: { ${role}: ... }`
          : `give tensors, or ${sizeOptions[missing!] ?? missing}`,
      details: { role, shape: symbols },
    });
  }
  const shape = letters.map((letter) => sizes.get(letter)!);
  const most = elementCount(shape);
  if (!shape.every(Number.isSafeInteger) || !(most >= 1 && most <= MOST_NUMBERS)) {
    throw new VeneError("intervention-invalid", `${key}: its ${role} would be [${shape}]`, {
      hint: `sizes are whole numbers from 1 on, and a tensor has at most ${MOST_NUMBERS} numbers`,
      details: { role, shape },
    });
  }
  return Tensor.float32(shape, initial(shape, seededRandom(seed)));
}

/** 4 GB as float32. */
const MOST_NUMBERS = 2 ** 30;

/** A rank or a number of latents that was asked for must be the tensor's. Throws `intervention-invalid`. */
function checkSizes({ key, sizes }: TensorRequest, role: string, symbols: string, { shape }: Tensor): void {
  const letters = symbols.slice(1, -1).split(", ");
  const wrong = letters.findIndex(
    (letter, i) => Object.hasOwn(sizeOptions, letter) && (sizes.get(letter) ?? shape[i]) !== shape[i],
  );
  if (wrong < 0) return;
  const option = sizeOptions[letters[wrong]!];
  throw new VeneError(
    "intervention-invalid",
    `${key}: ${role} is [${shape}], but ${option} is ${sizes.get(letters[wrong]!)}`,
    {
      details: { role, shape },
    },
  );
}

const sizeOptions: Readonly<Record<string, string>> = { r: "lowRankDimension", f: "latentDim" };
