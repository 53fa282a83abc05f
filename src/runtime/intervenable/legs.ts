/** Which entry of unit_locations holds for a leg of the computation: sources to base, or one source to the next. */
import { VeneError } from "../../base/errors.ts";
import { type Leg, readLeg, type UnitLocations, wholeLeg } from "./locations.ts";
import type { Resolved } from "./resolve.ts";

/** The one leg of parallel mode: under "sources->base" or "base". Throws `locations-invalid`. */
export function parallelLeg(locations: UnitLocations | null, resolved: readonly Resolved[], rows: number): Leg {
  const names = ["sources->base", "base"];
  const context = { units: resolved.map(({ entry }) => entry.site.unit), rows };
  if (locations === null) return wholeLeg(context);
  const name = names.find((candidate) => Object.hasOwn(locations, candidate));
  if (name !== undefined) return readLeg(name, locations[name]!, context);
  const found = Object.keys(locations).join(", ") || "nothing";
  throw new VeneError("locations-invalid", `unit locations name ${found}, expected ${names.join(" or ")}`, {
    details: { found: Object.keys(locations), expected: names },
  });
}

/** A leg of serial mode; it lists the interventions of its own group only. Throws `locations-invalid`. */
export function serialLeg(
  locations: UnitLocations | null,
  name: string,
  group: readonly number[],
  resolved: readonly Resolved[],
  rows: number,
): Leg {
  const units = resolved.map(({ entry }) => entry.site.unit);
  if (locations === null) return wholeLeg({ units, rows });
  const value = locations[name];
  if (value === undefined) {
    throw new VeneError("locations-invalid", `unit locations lack ${name}`, {
      details: { found: Object.keys(locations) },
    });
  }
  const own = readLeg(name, value, { units: group.map((i) => units[i]!), rows });
  const place = (side: Leg["base"]) => units.map((_, i) => (group.includes(i) ? side[group.indexOf(i)] : undefined));
  return { source: place(own.source), base: place(own.base) };
}
