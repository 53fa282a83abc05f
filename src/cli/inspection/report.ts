/** What inspecting yields: one object for --json and one text for people. */

export interface Report {
  readonly json: { readonly is: "artefact" | "model" | "tensors" } & Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly notices: readonly string[];
}

/** "[576]" */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** The start of a digest, enough to tell two apart by eye; --json has all of it. */
export function shortDigest(sha256: string): string {
  return sha256.slice(0, 12);
}
