/** Plain text tables, aligned by what characters take on a screen. */
import stringWidth from "string-width";
import { harmlessLine } from "./style.ts";

export interface Column {
  readonly title: string;
  /** Default left; numbers go right. */
  readonly align?: "left" | "right";
}

const GAP = "  ";

/** Title line and rows, each ending in a newline; no trailing spaces. Cells show no control characters. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => row.map(harmlessLine))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => stringWidth(line[i] ?? ""))));
  const cellOf = (text: string, i: number) => {
    const fill = " ".repeat(widths[i]! - stringWidth(text));
    return columns[i]!.align === "right" ? fill + text : text + fill;
  };
  return lines
    .map(
      (line) =>
        `${columns
          .map((_, i) => cellOf(line[i] ?? "", i))
          .join(GAP)
          .trimEnd()}\n`,
    )
    .join("");
}

/** "label: value" lines with the values under one another; pairs without a value are left out. */
export function renderFacts(facts: readonly (readonly [label: string, value: string | undefined])[]): string {
  const known = facts.filter((fact): fact is readonly [string, string] => fact[1] !== undefined && fact[1] !== "");
  const width = Math.max(0, ...known.map(([label]) => label.length));
  return known.map(([label, value]) => `${`${label}:`.padEnd(width + 2)}${harmlessLine(value)}\n`).join("");
}

/** Up to six significant digits. */
export function shortNumber(value: number): string {
  return String(Number(value.toPrecision(6)));
}
