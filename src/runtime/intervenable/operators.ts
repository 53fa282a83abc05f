/** Operators matched with a model's places: their tensors checked against the site's width, the module's input found. */
import type { Place, SiteTable } from "../../arch/sites.ts";
import { type Artefact, tensorOf } from "../../artefact/artefact.ts";
import { VeneError } from "../../base/errors.ts";
import type { Tensor } from "../../base/tensor.ts";
import { definitionOf } from "../../interventions/definitions.ts";
import type { Operator } from "../../interventions/kind.ts";
import { type Operation, operationOf } from "../../interventions/operation.ts";
import { type BuiltInKind, kindTable } from "../../interventions/table.ts";
import { type Intervention, tensorNames } from "../../spec/intervention.ts";
import { kindSpecOf } from "../../spec/kinds.ts";
import { type Component, formatSite, isComponent, type Site } from "../../spec/sites.ts";

export interface BoundOperator {
  readonly operation: Operation;
  readonly tensors: { readonly [role: string]: Float32Array };
}

/** What an operator is called, how it treats units, and the shapes of its tensors in symbols. */
interface Described {
  readonly identity: string;
  readonly operator: Operator;
  readonly units: "each" | "together";
  readonly shapes: { readonly [role: string]: string };
  readonly features: string | undefined;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** How wide one unit of a site is: a head's size where heads are addressed, else the whole width. */
export function cellWidthOf({ site }: Intervention, place: Place): number {
  return site.unit === "pos" || place.heads === undefined ? place.width : place.heads.size;
}

/** Throws `base-mismatch` for tensors of another width, `intervention-invalid` and `site-unknown`. */
export function bindOperator(artefact: Artefact, entry: Intervention, place: Place, sites: SiteTable): BoundOperator {
  const described = describe(entry);
  const { operator, shapes } = described;
  const cellWidth = cellWidthOf(entry, place);
  const units = described.units === "together" ? entry.maxUnits : 1;
  const sizes = new Map([
    ["1", 1],
    [described.units === "together" ? "n" : "d", cellWidth * units],
  ]);
  if (entry.kind === "custom") sizes.set("n", cellWidth * units);
  const tensors: { [role: string]: Tensor } = {};
  for (const [role, symbols] of Object.entries(shapes)) {
    const tensor = tensorOf(artefact, entry, role);
    if (tensor === undefined) continue;
    checkShape(entry, role, tensor, symbols, sizes);
    tensors[role] = tensor;
  }
  if (entry.kind === "custom") checkRoles(entry, Object.keys(shapes));
  const input = operator.takesInput ? moduleInput(entry, sites) : undefined;
  const wanted = sizes.get("m");
  if (input !== undefined && wanted !== undefined && wanted !== input.width)
    throw mismatch(entry, "a", wanted, input.width);
  const operation = operationOf(described.identity, {
    operator,
    parameters: described.parameters,
    tensors: Object.fromEntries(Object.entries(tensors).map(([role, { shape }]) => [role, shape])),
    cellWidth,
    units,
    features: described.features === undefined ? undefined : sizes.get(described.features),
    input,
  });
  return {
    operation,
    tensors: Object.fromEntries(Object.entries(tensors).map(([role, tensor]) => [role, tensor.toFloat32()])),
  };
}

function describe(entry: Intervention): Described {
  if (entry.kind === "custom") {
    const { definition: name, ...given } = entry.parameters;
    const definition = definitionOf(name);
    const { units, tensors } = definition;
    const parameters = { ...definition.parameters, ...given };
    return {
      identity: `custom ${name}`,
      operator: definition,
      units,
      shapes: tensors,
      features: undefined,
      parameters,
    };
  }
  const spec = kindSpecOf(entry.kind);
  const operator = kindTable[entry.kind as BuiltInKind] as unknown as Operator;
  const { source: _, ...roles } = spec.tensors;
  return {
    identity: entry.kind,
    operator,
    units: spec.units,
    shapes: Object.fromEntries(Object.entries(roles).map(([role, { shape }]) => [role, shape])),
    features: spec.features,
    parameters: entry.parameters,
  };
}

/** A letter stands for one size throughout. Throws `base-mismatch` where the site's width is meant, else `artefact-tensor`. */
function checkShape(
  entry: Intervention,
  role: string,
  tensor: Tensor,
  symbols: string,
  sizes: Map<string, number>,
): void {
  const letters = symbols.slice(1, -1).split(", ");
  if (tensor.shape.length !== letters.length) {
    throw new VeneError("artefact-tensor", `${entry.key}: ${role} is [${tensor.shape}], expected ${symbols}`);
  }
  letters.forEach((letter, i) => {
    const size = tensor.shape[i]!;
    const known = sizes.get(letter) ?? size;
    sizes.set(letter, known);
    if (known === size) return;
    if (letter === "n" || letter === "d") throw mismatch(entry, role, size, known);
    throw new VeneError("artefact-tensor", `${entry.key}: ${role} is [${tensor.shape}], ${letter} is ${known}`);
  });
}

function checkRoles(entry: Intervention, roles: readonly string[]): void {
  const names = tensorNames(entry).map(([role]) => role);
  const missing = roles.find((role) => !names.includes(role));
  const unknown = names.find((role) => role !== "source" && !roles.includes(role));
  if (missing === undefined && unknown === undefined) return;
  const what = missing === undefined ? `has a tensor ${unknown} that` : `lacks the tensor ${missing} that`;
  throw new VeneError(
    "intervention-invalid",
    `${entry.key} ${what} its definition ${missing ? "needs" : "does not know"}`,
    {
      hint: `its tensors: ${roles.join(", ") || "none"}`,
      details: { roles, found: names },
    },
  );
}

function mismatch(entry: Intervention, role: string, found: number, expected: number): VeneError {
  const { site, maxUnits } = entry;
  const units = maxUnits === 1 ? "" : ` (${maxUnits} units together)`;
  return new VeneError(
    "base-mismatch",
    `${entry.key}: ${role} is for width ${found}, ${formatSite(site)} has ${expected}${units}`,
    {
      hint: "it was made for a model of another size, or for another site",
      details: { role, found, expected, site },
    },
  );
}

/** Components whose module reads what another component names. */
const inputComponents: { readonly [C in Component]?: Component } = {
  block_output: "block_input",
  attention_output: "attention_input",
  mlp_output: "mlp_input",
  query_output: "attention_input",
  key_output: "attention_input",
  value_output: "attention_input",
};

/** The place of the input of the site's module. Throws `intervention-invalid` for sites that are no module's output. */
export function moduleInput({ key, site }: Intervention, sites: SiteTable): { value: string; width: number } {
  const input = inputSite(site);
  if (input !== undefined) {
    const { value, width } = sites.locate(input);
    return { value, width };
  }
  throw new VeneError(
    "intervention-invalid",
    `${key}: ${formatSite(site)} is not the output of a module with an input`,
    {
      hint: `use the output of a module path, or one of ${Object.keys(inputComponents).join(", ")}`,
      details: { key, site },
    },
  );
}

function inputSite(site: Site): Site | undefined {
  if (site.unit !== "pos") return undefined;
  if ("module" in site) return site.side === "output" ? { ...site, side: "input" } : undefined;
  if (!("component" in site) || !isComponent(site.component)) return undefined;
  const component = inputComponents[site.component];
  return component === undefined ? undefined : { ...site, component };
}
