/** pyvene's subspaces: which features of a site are touched, per row, as indices or as parts of a partition. */
import { VeneError } from "../../base/errors.ts";
import type { Resolved } from "./resolve.ts";

/** Per intervention: per row the indices or part numbers, or null for all features. */
export type Subspaces = readonly (readonly (readonly number[])[] | null)[];

/** The subspaces of one intervention. Throws `intervention-invalid` when there is not one entry per intervention. */
export function subspacesOf(
  subspaces: Subspaces | null | undefined,
  index: number,
  count: number,
): readonly (readonly number[])[] | null {
  if (subspaces === null || subspaces === undefined) return null;
  const own = Array.isArray(subspaces) && subspaces.length === count ? subspaces[index] : undefined;
  if (own === null || Array.isArray(own)) return own as readonly (readonly number[])[] | null;
  const found = JSON.stringify(subspaces)?.slice(0, 80);
  throw new VeneError("intervention-invalid", `subspaces is ${found}, expected one entry per intervention (${count})`, {
    hint: "an entry is null, or a list per row: [[0, 1], [2]] for two rows",
  });
}

/** Feature indices per row; undefined = all. Without subspaces the intervention's own dimension holds. Throws `intervention-invalid` for a part that does not exist. */
export function columnsOfSubspaces(
  { entry, columns }: Resolved,
  subspaces: readonly (readonly number[])[] | null,
  rows: number,
): readonly (readonly number[])[] | undefined {
  if (subspaces === null) return columns === undefined ? undefined : new Array<readonly number[]>(rows).fill(columns);
  const perRow = subspaces.length === 1 ? new Array<readonly number[]>(rows).fill(subspaces[0]!) : subspaces;
  if (perRow.length !== rows) {
    throw new VeneError(
      "intervention-invalid",
      `${entry.key}: subspaces for ${perRow.length} rows, the batch has ${rows}`,
    );
  }
  const partition = entry.subspacePartition;
  return perRow.map((list) => {
    if (!Array.isArray(list) || list.some((item) => !Number.isSafeInteger(item) || item < 0)) {
      throw new VeneError(
        "intervention-invalid",
        `${entry.key}: subspaces hold ${JSON.stringify(list)}, expected whole numbers`,
      );
    }
    if (partition === undefined) return list;
    return list.flatMap((part) => {
      const features = partition[part];
      if (features !== undefined) return featuresOf(features);
      throw new VeneError(
        "intervention-invalid",
        `${entry.key}: part ${part} does not exist, the partition has ${partition.length}`,
        {
          details: { key: entry.key, part, parts: partition.length },
        },
      );
    });
  });
}

/** A pair is a range [start, end), as pyvene reads it; anything else lists features. */
function featuresOf(part: readonly number[]): readonly number[] {
  if (part.length !== 2) return part;
  const [start, end] = part as [number, number];
  return Array.from({ length: end - start }, (_, i) => start + i);
}
