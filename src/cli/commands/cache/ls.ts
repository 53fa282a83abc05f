/** `vene cache ls`: repositories and revisions in the cache, with their sizes and names. */
import type { CachedRepo } from "../../../index.ts";
import type { CommandContext, DefineCommand } from "../../io.ts";
import { printNotices } from "../../notices.ts";
import { renderTable } from "../../table.ts";

const notes = `
Sizes are bytes: of a repository each file once, of a revision with those it shares.

--json prints { repos } with { repo, type, folder, size, revisions, faults }; revisions have { commit, refs, size, files }.

Examples:
  $ vene cache ls
`;

export const defineCacheList: DefineCommand = (command, context) => {
  command
    .description("Lists the repositories and revisions in the cache.")
    .addHelpText("after", notes)
    .action(async () => list(context()));
};

async function list(context: CommandContext): Promise<void> {
  const { listCache } = await import("../../../index.ts");
  const { env, json, stdout } = context;
  const repos = await listCache({ hub: { variables: env } });
  const damaged = repos
    .filter(({ faults }) => faults.length > 0)
    .map(({ repo }) => `${repo} is damaged: see vene cache verify`);
  printNotices(damaged, context);
  if (json) return stdout.write(`${JSON.stringify({ repos: repos.map(asJson) })}\n`);
  if (repos.length === 0) return stdout.write("the cache is empty\n");
  const columns = [
    { title: "repository" },
    { title: "type" },
    { title: "bytes", align: "right" },
    { title: "revision" },
    { title: "bytes", align: "right" },
    { title: "names" },
  ] as const;
  const rows = repos.flatMap(({ repo, type, size, revisions }) => {
    const head = [repo, type, String(size)];
    if (revisions.length === 0) return [[...head, "", "", ""]];
    return revisions.map(({ commit, refs, size: own }, i) => {
      return [...(i === 0 ? head : ["", "", ""]), commit, String(own), refs.join(", ")];
    });
  });
  stdout.write(renderTable(columns, rows));
}

function asJson({ repo, type, folder, size, revisions, faults }: CachedRepo) {
  return {
    ...{ repo, type, folder, size, faults },
    revisions: revisions.map(({ commit, refs, size: own, files }) => ({
      ...{ commit, refs, size: own },
      files: files.map(({ path, size: bytes }) => ({ path, size: bytes })),
    })),
  };
}
