/** How the benchmarks sum up and print what they measured. */

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function printTable(result: Readonly<Record<string, number | string>>): void {
  const width = Math.max(...Object.keys(result).map((key) => key.length));
  for (const [key, value] of Object.entries(result)) {
    const text = typeof value === "string" ? value : value.toFixed(value < 10 ? 3 : 1);
    process.stdout.write(`${key.padEnd(width)}  ${text}\n`);
  }
  process.stdout.write("\n");
}
