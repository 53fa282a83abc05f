/** zod's issues as short sentences with a path each, for messages that a person can act on. */
import type { z } from "zod";

type Issue = z.core.$ZodIssue;

/** Each issue as "path: what is wrong", e.g. `interventions[0].site.layer: Invalid input: expected int, received string`. */
export function describeIssues(issues: readonly Issue[], at: readonly PropertyKey[] = []): string[] {
  return issues.flatMap((issue) => describe(issue, at));
}

function describe(issue: Issue, at: readonly PropertyKey[]): string[] {
  const path = [...at, ...issue.path];
  if (issue.code === "invalid_union") {
    const nearest = nearestBranch(issue.errors);
    if (nearest !== undefined) return describeIssues(nearest, path);
  }
  return [shortened(`${pathText(path)}: ${lowerFirst(issue.message)}`)];
}

/** The alternative of a union that fits best: the one whose faults lie deepest, then the one with the fewest. */
function nearestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const rank = (branch: readonly Issue[]) =>
    branch.length +
    branch.filter((issue) => issue.path.length === 0 && issue.code !== "unrecognized_keys").length * 1000;
  const ranked = branches.filter((branch) => branch.length > 0).sort((one, other) => rank(one) - rank(other));
  return ranked[0];
}

function pathText(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the document";
  const text = path.map((part) =>
    typeof part === "number"
      ? `[${part}]`
      : /^[A-Za-z_]\w*$/.test(String(part))
        ? `.${String(part)}`
        : `[${JSON.stringify(String(part))}]`,
  );
  return text.join("").replace(/^\./, "");
}

/** Messages repeat what a file says, which may be long. */
function shortened(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
