/** README and docs/ are run: every ts block is executed, every vene command in a sh block too, and output shown after is compared. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";

const root = fileURLToPath(new URL("..", import.meta.url));
const generated = join(root, "test", ".docs");

interface Block {
  readonly language: string;
  readonly code: string;
  readonly line: number;
}

/** Fenced blocks. "sh no-run" and "ts no-run" are shown only: they need a model or a network that tests do not have. */
function blocksOf(path: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; lines: string[]; line: number } | undefined;
  readFileSync(path, "utf8")
    .split("\n")
    .forEach((text, i) => {
      const fence = /^```(.*)$/.exec(text);
      if (fence === null) open?.lines.push(text);
      else if (open === undefined) open = { language: fence[1]!.trim(), lines: [], line: i + 1 };
      else {
        blocks.push({ language: open.language, code: open.lines.join("\n"), line: open.line });
        open = undefined;
      }
    });
  return blocks;
}

const inDocs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" });
const pages = ["README.md", ...inDocs.map((name) => `docs/${name.replaceAll("\\", "/")}`)].filter((name) =>
  name.endsWith(".md"),
);

let scratch: string;
const before = process.cwd();
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "vene-docs-"));
  for (const folder of ["examples", "test"]) await symlink(join(root, folder), join(scratch, folder));
  await mkdir(generated, { recursive: true });
  process.chdir(scratch);
  // What the pages print is for their readers.
  jest.spyOn(console, "log").mockImplementation(() => undefined);
  jest.spyOn(process.stdout, "write").mockImplementation(() => true);
});
afterAll(async () => {
  jest.restoreAllMocks();
  process.chdir(before);
  await rm(scratch, { recursive: true });
  await rm(generated, { recursive: true });
});

/** Rates may move by a question where another processor rounds differently; words may not. */
function expectSameOutput(found: string, shown: string): void {
  const lines = (text: string) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => line.trimEnd());
  const wording = (text: string) => lines(text).map((line) => line.replace(/\d+\.\d+/g, "#"));
  const numbers = (text: string) => (text.match(/\d+\.\d+/g) ?? []).map(Number);
  expect(wording(found)).toEqual(wording(shown));
  numbers(found).forEach((value, i) => {
    expect(Math.abs(value - numbers(shown)[i]!)).toBeLessThanOrEqual(0.02);
  });
}

describe.each(pages)("%s", (page) => {
  const blocks = blocksOf(join(root, page));
  const followed = blocks.map((block, i) => ({ ...block, shown: blocks[i + 1] }));
  const runnable = followed.filter(({ language }) => language === "ts");
  const commands = followed.filter(({ language }) => language === "sh");

  test("links only to files that exist", () => {
    const text = readFileSync(join(root, page), "utf8");
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, target]) => target!);
    expect(links.filter((target) => !existsSync(join(root, dirname(page), target)))).toEqual([]);
  });

  test("has only blocks of known languages", () => {
    const known = ["ts", "ts no-run", "sh", "sh no-run", "text", "json", "python"];
    expect(blocks.filter(({ language }) => !known.includes(language))).toEqual([]);
  });

  if (runnable.length > 0) {
    test.each(runnable)("the ts block at line $line runs", async ({ code, line, shown }) => {
      const log = jest.mocked(console.log).mockClear();
      const name = `${page.replace(/\W/g, "-")}-${line}.ts`;
      await writeFile(join(generated, name), code.replaceAll('from "vene"', 'from "../../src/index.ts"'));
      await import(join(generated, name));
      const said = log.mock.calls.map((values) => format(...values)).join("\n");
      if (shown?.language === "text") expectSameOutput(said, shown.code);
    });
  }

  if (commands.length > 0) {
    test.each(commands)("the commands at line $line run", async ({ code, shown }) => {
      const vene = `vene() { "${process.execPath}" "${join(root, "dist/cli/main.js")}" "$@"; }\nset -e\n`;
      const run = code.replaceAll("npx vene", "vene").replaceAll(/npm run (--silent )?demo/g, "vene demo");
      if (!/^vene /m.test(run)) return;
      const wanted = run.split("\n").filter((line) => !/^npm |^git /.test(line));
      const { stdout } = await promisify(execFile)("bash", ["-c", vene + wanted.join("\n")], { cwd: scratch });
      if (shown?.language === "text") expectSameOutput(stdout, shown.code);
    });
  }
});
