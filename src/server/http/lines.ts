/** A body line by line, so that a large commit is never in memory at once. */
import { HttpError } from "./http-error.ts";

export interface LineLimits {
  /** Bytes of one line. */
  readonly line: number;
  /** Bytes in all. */
  readonly body: number;
}

/** Lines without their end; empty ones are left out. Throws HttpError 413 beyond the limits. */
export async function* readLines(source: AsyncIterable<Buffer>, limits: LineLimits): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let total = 0;
  for await (const chunk of source) {
    total += chunk.length;
    if (total > limits.body) throw new HttpError(413, `the body is longer than the ${limits.body} bytes allowed here`);
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const line = Buffer.concat([...pending, chunk.subarray(start, end)]);
      pending = [];
      pendingBytes = 0;
      start = end + 1;
      if (line.length > 0) yield line;
    }
    pendingBytes += chunk.length - start;
    if (pendingBytes > limits.line)
      throw new HttpError(413, `a line is longer than the ${limits.line} bytes allowed here`);
    if (start < chunk.length) pending.push(chunk.subarray(start));
  }
  if (pendingBytes > 0) yield Buffer.concat(pending);
}
