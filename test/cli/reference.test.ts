/** docs/cli.md is the program's own help, word for word. */
import { expect, test } from "@jest/globals";
import { expectGolden } from "../support/golden.ts";
import { vene } from "./terminal.ts";

test("docs/cli.md has the help of every command (UPDATE_GOLDEN=1 rewrites it)", async () => {
  const overview = await vene(["--help"]);
  const listed = /^Commands:\n([\s\S]*?)\n\n/m.exec(overview.out)![1]!;
  const commands = [...listed.matchAll(/^ {2}(\w+) {3,}/gm)].map(([, name]) => name!).filter((name) => name !== "help");
  expect(commands).toEqual(expect.arrayContaining(["generate", "inspect", "convert", "demo"]));
  const pages: [title: string, help: string][] = [["vene", overview.out]];
  for (const name of commands) pages.push([`vene ${name}`, (await vene([name, "--help"])).out]);
  const sections = pages.map(([title, help]) => `## ${title}\n\n\`\`\`text\n${help.trim()}\n\`\`\`\n`);
  expectGolden(
    "docs/cli.md",
    `# Command line\n\nWhat \`vene --help\` and \`vene <command> --help\` print.\n\n${sections.join("\n")}`,
  );
});
