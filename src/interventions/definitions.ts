/** A user's own interventions: code that the application registers, which files may name and never contain. */
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import { definitionName } from "../spec/kinds-adapters.ts";
import type { Operator, OperatorValues } from "./kind.ts";

export interface InterventionDefinition {
  /** Lower case, e.g. "my-lab/damping": what artefacts call it. */
  readonly name: string;
  /** Whether it takes a source. Default false. */
  readonly takesSource?: boolean;
  /** Whether it needs the input of the site's module. Default false. */
  readonly takesInput?: boolean;
  /** "together": a row's units are one vector, as pyvene flattens them. Default "each". */
  readonly units?: "each" | "together";
  /** Its parameters with their defaults. */
  readonly parameters?: Readonly<Record<string, number | string | boolean>>;
  /** Roles of its tensors with their shapes in symbols: "[n, r]"; n = what it acts on, other letters are its own. */
  readonly tensors?: Readonly<Record<string, string>>;
  /** Emits the new value, float32 [k, n], at full strength, from ONNX operators. k may be 0. */
  emit(builder: Builder, x: OperatorValues): Value;
}

const definitionKeys = [
  "name",
  "takesSource",
  "takesInput",
  "units",
  "parameters",
  "tensors",
  "emit",
] as const satisfies readonly (keyof InterventionDefinition)[];

/** A definition that was registered: an operator with its name and defaults filled in. */
export interface DefinedIntervention extends Operator {
  readonly name: string;
  readonly units: "each" | "together";
  readonly parameters: Readonly<Record<string, number | string | boolean>>;
  readonly tensors: Readonly<Record<string, string>>;
}

const registered = new Map<string, DefinedIntervention>();

/**
 * Registers an intervention of the caller's own for this process: use the result as a representation's interventionType, and
 * call this before loading an artefact that names it. Throws `intervention-invalid` for a bad name or shape, or a name that is
 * taken.
 */
export function defineIntervention(definition: InterventionDefinition): DefinedIntervention {
  checkKeys("the definition", definition, definitionKeys, "intervention-invalid");
  const { name, tensors = {} } = definition;
  if (!definitionName.safeParse(name).success)
    throw invalid(name, "its name is not lower case letters, digits, . _ - /");
  if (registered.has(name)) throw invalid(name, "the name is taken");
  if (typeof definition.emit !== "function") throw invalid(name, "emit is not a function");
  for (const [role, shape] of Object.entries(tensors)) {
    if (!/^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(role)) throw invalid(name, `${JSON.stringify(role)} is not a role`);
    if (!/^\[[a-z](, [a-z])*\]$/.test(shape)) throw invalid(name, `${role} has the shape ${JSON.stringify(shape)}`);
  }
  const defined: DefinedIntervention = {
    name,
    tensors,
    units: definition.units ?? "each",
    takesSource: definition.takesSource ?? false,
    takesInput: definition.takesInput ?? false,
    parameters: definition.parameters ?? {},
    emit: (builder, x) => definition.emit(builder, x),
  };
  registered.set(name, defined);
  return defined;
}

/** Throws `intervention-invalid` for a name that nothing was registered under. */
export function definitionOf(name: string): DefinedIntervention {
  const found = registered.get(name);
  if (found !== undefined) return found;
  throw new VeneError("intervention-invalid", `no intervention was registered under the name ${JSON.stringify(name)}`, {
    hint: "call defineIntervention, or import the module that does, before loading",
    details: { name, registered: [...registered.keys()] },
  });
}

function invalid(name: unknown, why: string): VeneError {
  return new VeneError("intervention-invalid", `the intervention ${JSON.stringify(name)} cannot be defined: ${why}`, {
    hint: 'for example { name: "my-lab/damping", tensors: { weight: "[n, r]" }, emit }',
    details: { name, why },
  });
}
