/** Linked interventions: pyvene has one module for all of a link, and a file of it for each. */
import type { Tensor } from "../base/tensor.ts";
import { type Intervention, tensorNames } from "../spec/intervention.ts";

/** Interventions by what makes pyvene use one module for them. */
function modulesOf(interventions: readonly Intervention[]): Map<unknown, Intervention[]> {
  const modules = new Map<unknown, Intervention[]>();
  for (const intervention of interventions) {
    const { link, kind } = intervention;
    const module = link === undefined ? intervention : JSON.stringify([link, kind]);
    const members = modules.get(module);
    if (members === undefined) modules.set(module, [intervention]);
    else members.push(intervention);
  }
  return modules;
}

/**
 * Interventions that share tensors and parameters where pyvene's share a module: named after the first, with the values of the
 * last, which pyvene loads over the others. A notice says where these differ.
 */
export function shareLinked(
  interventions: readonly Intervention[],
  tensors: ReadonlyMap<string, Tensor>,
): { interventions: Intervention[]; tensors: Map<string, Tensor>; notices: string[] } {
  const shared = new Map<string, Tensor>();
  const notices: string[] = [];
  const result = new Map<Intervention, Intervention>();
  for (const members of modulesOf(interventions).values()) {
    const [first, last] = [members[0]!, members.at(-1)!];
    const names: { [role: string]: string } = {};
    for (const [role, name] of tensorNames(last)) {
      names[role] = `${first.key}.${role}`;
      shared.set(names[role], tensors.get(name)!);
    }
    for (const member of members) {
      result.set(member, { ...member, parameters: last.parameters, tensors: names } as Intervention);
      if (sameValues(member, last, tensors)) continue;
      notices.push(
        `${member.key} and ${last.key} are linked, but their files differ: as in pyvene, the last one's hold`,
      );
    }
  }
  return { interventions: interventions.map((each) => result.get(each)!), tensors: shared, notices };
}

function sameValues(one: Intervention, other: Intervention, tensors: ReadonlyMap<string, Tensor>): boolean {
  if (one === other) return true;
  const [own, others] = [tensorNames(one), tensorNames(other)];
  return (
    JSON.stringify(one.parameters) === JSON.stringify(other.parameters) &&
    own.length === others.length &&
    own.every(([, name], i) => sameTensor(tensors.get(name)!, tensors.get(others[i]![1])!))
  );
}

function sameTensor(one: Tensor, other: Tensor): boolean {
  const alike = one.dtype === other.dtype && String(one.shape) === String(other.shape);
  return alike && Buffer.compare(one.bytes, other.bytes) === 0;
}
