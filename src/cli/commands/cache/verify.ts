/** `vene cache verify`: compares every cached file with the digest it was downloaded by. */
import type { CommandContext, DefineCommand } from "../../io.ts";
import { printNotices } from "../../notices.ts";
import { Progress } from "../../progress.ts";
import { renderTable } from "../../table.ts";

const notes = `
Needs no network. What is wrong, missing or leads out of the cache is listed, and the exit code is 1 then; vene pull fetches
it again. --json prints { repos } with { repo, type, verified, bytes, unknown, faults }.

Examples:
  $ vene cache verify
  $ vene cache verify lab/honest-smollm2
`;

export const defineVerify: DefineCommand = (command, context) => {
  command
    .description("Compares every cached file with the digest it was downloaded by.")
    .argument("[repo]", "org/name, or datasets/org/name (default: everything)")
    .addHelpText("after", notes)
    .action(async (repo: string | undefined) => verify(repo, context()));
};

async function verify(repo: string | undefined, context: CommandContext): Promise<void> {
  const { verifyCache, VeneError } = await import("../../../index.ts");
  const { env, json, stdout } = context;
  const progress = new Progress(context);
  const onProgress = progress.report.bind(progress);
  const repos = await verifyCache({ repo, hub: { variables: env }, onProgress: (event) => onProgress(event) }).finally(
    () => progress.clear(),
  );
  printNotices(
    repos.flatMap(({ unknown }) => unknown.map((path) => `nothing says what ${path} should be`)),
    context,
  );
  const faults = repos.flatMap((one) => one.faults);
  if (faults.length > 0) {
    const shown = `${faults.slice(0, 8).join("; ")}${faults.length > 8 ? `; and ${faults.length - 8} more` : ""}`;
    throw new VeneError("hub-cache", shown, {
      hint: "remove the repository with vene cache rm, and pull it again",
      details: { repos },
    });
  }
  if (json) return stdout.write(`${JSON.stringify({ repos })}\n`);
  if (repos.length === 0) return stdout.write("the cache is empty\n");
  const columns = [
    { title: "repository" },
    { title: "files", align: "right" },
    { title: "bytes", align: "right" },
  ] as const;
  const rows = repos.map(({ repo: name, verified, bytes }) => [name, String(verified), String(bytes)]);
  stdout.write(`${renderTable(columns, rows)}\nall as they should be\n`);
}
