/** A tokens policy as a mask over the cells of a layout. */
import { VeneError } from "../../base/errors.ts";
import type { TokensPolicy } from "../../spec/tokens.ts";
import { indexWithin, promptLength, type RuleContext } from "./cells.ts";

/** Cells a tokens policy marks. Throws `tokens-invalid` for a position beyond a row's prompt. */
export function policyMask(policy: TokensPolicy, context: RuleContext): Uint8Array {
  const { layout } = context;
  const mask = new Uint8Array(layout.rows * layout.columns);
  for (let row = 0; row < layout.rows; row++) {
    const columns = layout.columnsOf[row]!;
    const length = promptLength(context, row);
    const mark = (position: number) => {
      mask[row * layout.columns + columns[position]!] = 1;
    };
    for (const position of promptPositions(policy, length, row)) mark(position);
    const { from, to } = generatedRange(policy);
    for (let i = from; i < Math.min(to, columns.length - length); i++) mark(length + i);
  }
  return mask;
}

function promptPositions({ prompt }: TokensPolicy, length: number, row: number): readonly number[] {
  if (prompt === "none") return [];
  if (prompt === "all") return [...new Array(length).keys()];
  if (prompt === "last") return [length - 1];
  return prompt.map((position) => {
    const at = indexWithin(position, length);
    if (at !== undefined) return at;
    throw new VeneError("tokens-invalid", `position ${position} is outside the ${length} tokens of prompt ${row}`, {
      details: { position, length, row },
    });
  });
}

function generatedRange({ generated }: TokensPolicy): { from: number; to: number } {
  if (generated === "none") return { from: 0, to: 0 };
  if (generated === "all") return { from: 0, to: Number.POSITIVE_INFINITY };
  return { from: generated.from, to: generated.to ?? Number.POSITIVE_INFINITY };
}
