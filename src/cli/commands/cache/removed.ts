/** Says what went out of the cache, or would. */
import type { Removed } from "../../../index.ts";
import { harmlessLine } from "../../style.ts";

export function removedText({ repos, revisions, blobs, temporaries, bytes }: Removed, dryRun: boolean): string {
  const whole = repos.map((repo) => `${repo}\n`);
  const parts = revisions.filter((revision) => !repos.includes(revision.slice(0, revision.lastIndexOf("@"))));
  const lines = [...whole, ...parts.map((revision) => `${revision}\n`)].map(
    (line) => `${harmlessLine(line.trimEnd())}\n`,
  );
  const verb = dryRun ? "would free" : "freed";
  return `${lines.join("")}${verb} ${bytes} bytes: ${blobs} files, ${temporaries} unfinished downloads\n`;
}
