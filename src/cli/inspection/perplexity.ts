/** What `vene inspect --perplexity` adds: how well the model predicts a text, for each dtype asked for. */
import { readFile, stat } from "node:fs/promises";
import type { Model, ModelDType, Perplexity, PerplexityOptions } from "../../index.ts";
import { UsageError } from "../failures.ts";
import { renderTable } from "../table.ts";
import type { Report } from "./report.ts";

/** A model measured at one dtype. */
export type Measured = Perplexity & { readonly dtype: ModelDType };

export async function measure(model: Model, text: string, options: PerplexityOptions): Promise<Measured> {
  const { perplexity } = await import("../../index.ts");
  return { dtype: model.dtype, ...(await perplexity(model, text, options)) };
}

/** Hours of scoring; stops a command that was given a disk image. */
const MAX_TEXT_BYTES = 16 << 20;

/** The text of a file. Throws `file-unreadable`, and `UsageError` for what is no text of that size. */
export async function readText(path: string): Promise<string> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) throw new UsageError(`there is no file ${path}`, "--perplexity needs a file of plain text");
  if (!status.isFile() || status.size > MAX_TEXT_BYTES) {
    throw new UsageError(`${path} is no file of at most ${MAX_TEXT_BYTES} bytes`, "--perplexity needs a plain text");
  }
  const bytes = await readFile(path).catch(async (cause: unknown) => {
    const { VeneError } = await import("../../index.ts");
    throw new VeneError("file-unreadable", `cannot read ${path}`, { cause });
  });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${path} is not UTF-8 text`);
  }
}

export function withPerplexity(report: Report, measured: readonly Measured[]): Report {
  const first = measured[0]!;
  const table = renderTable(
    [{ title: "dtype" }, { title: "perplexity", align: "right" }, { title: "of the first", align: "right" }],
    measured.map(({ dtype, perplexity }) => [
      dtype,
      perplexity.toFixed(3),
      `${((100 * perplexity) / first.perplexity).toFixed(1)} %`,
    ]),
  );
  const { scored, window, stride } = first;
  const title = `\n${scored} tokens predicted, in windows of ${window} that move by ${stride}\n`;
  return {
    ...report,
    json: { ...report.json, perplexity: measured },
    text: `${report.text}${title}${table}`,
  };
}
