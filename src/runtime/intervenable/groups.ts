/** How interventions go together: groups that share a source, and the strength of each row. */
import { VeneError } from "../../base/errors.ts";
import type { Resolved } from "./resolve.ts";

/** Intervention indices by group key, ascending; without keys each is its own group. Throws `intervention-invalid` when mixed. */
export function groupsOf(resolved: readonly Resolved[]): readonly (readonly number[])[] {
  const keys = resolved.map(({ entry }) => entry.group);
  if (keys.every((key) => key === undefined)) return resolved.map((_, i) => [i]);
  if (keys.some((key) => key === undefined)) {
    throw new VeneError("intervention-invalid", "some interventions have a group and some have none", {
      hint: "give all of them a groupKey, or none",
    });
  }
  const distinct = [...new Set(keys as number[])].sort((a, b) => a - b);
  return distinct.map((key) => keys.flatMap((own, i) => (own === key ? [i] : [])));
}

/** Strength per row. Throws `generation-invalid` for a list of another length or a value that is not finite. */
export function strengthsOf(
  { entry }: Resolved,
  given: number | readonly number[] | undefined,
  rows: number,
): readonly number[] {
  const list = typeof given === "object" ? given : new Array<number>(rows).fill(given ?? entry.strength.default);
  if (list.length !== rows || list.some((value) => !Number.isFinite(value))) {
    throw new VeneError("generation-invalid", `strength is [${list}], expected ${rows} finite numbers`, {
      hint: "give one number, or one per prompt",
    });
  }
  return list;
}
