/** The string schemas that the formats share, bounded the same way in zod and in JSON Schema. */
import { z } from "zod";

/** A non-empty text of at most `max` code points: JSON Schema counts code points, so this does too. */
export function textUpTo(max: number) {
  return z
    .string()
    .min(1)
    .refine((text) => text.length <= max || [...text.slice(0, 2 * max + 1)].length <= max, {
      error: `longer than ${max} characters`,
    })
    .meta({ maxLength: max });
}

/** A text that may be empty, of at most `max` code points. */
export function maybeEmptyTextUpTo(max: number) {
  return z
    .string()
    .refine((text) => text.length <= max || [...text.slice(0, 2 * max + 1)].length <= max, {
      error: `longer than ${max} characters`,
    })
    .meta({ maxLength: max });
}

/** sha256 as 64 lower-case hexadecimal digits. */
export const sha256Schema = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .meta({ description: "sha256, 64 lower-case hexadecimal digits" });
