import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { publishIntervention } from "../../src/registry/publish.ts";
import { type SearchOptions, searchInterventions } from "../../src/registry/search.ts";
import { yankIntervention } from "../../src/registry/withdraw.ts";
import { artefact, emptyRegistry, type Machine, machine } from "./places.ts";

let from: Machine;
let first: string;
let second: string;

beforeAll(async () => {
  first = await emptyRegistry("first");
  second = await emptyRegistry("second");
  const gemma = { model: "google/gemma-2-2b-it", architecture: "gemma2", layers: 26, hiddenSize: 2304 };
  const all = [
    { to: first, name: "lab/calm", summary: "Ruhig, höflich (sehr)", license: "mit", base: {}, tags: ["zen"] },
    { to: first, name: "lab/loud", summary: "SHOUTS a.b*c", license: "apache-2.0", base: gemma, tags: [] },
    { to: first, name: "lab/gone", summary: "calm, but broken", license: "mit", base: {}, tags: [] },
    { to: second, name: "other/calmer", summary: "calmer", license: "MIT", base: gemma, tags: ["zen", "new"] },
  ];
  for (const { to, name, tags, ...changes } of all) {
    await publishIntervention(await artefact(changes), { ...machine(to), name, version: "1.0.0", tags });
  }
  await yankIntervention("lab/gone@1.0.0", { ...machine(first), reason: "broken" });
  from = machine([first, `mine=${second}`]);
});

async function namesFor(options: SearchOptions): Promise<string[]> {
  const { found } = await searchInterventions({ ...from, ...options });
  return found.map(({ registry, name }) => `${registry}:${name}`);
}

describe("search", () => {
  test.each<[SearchOptions, string[]]>([
    [{}, ["first:lab/calm", "first:lab/loud", "mine:other/calmer"]],
    [{ text: "CALM" }, ["first:lab/calm", "mine:other/calmer"]],
    [{ text: "zen calm" }, ["first:lab/calm", "mine:other/calmer"]],
    [{ text: "zen new" }, ["mine:other/calmer"]],
    [{ text: "HÖFLICH" }, ["first:lab/calm"]],
    [{ text: "(sehr)" }, ["first:lab/calm"]],
    [{ text: "a.b*c" }, ["first:lab/loud"]],
    [{ text: "a.bbc" }, []],
    [{ text: '"' }, []],
    [{ text: "shouts ruhig" }, []],
    [{ text: "lab/" }, ["first:lab/calm", "first:lab/loud"]],
    [{ base: "gemma-2-2b-it" }, ["first:lab/loud", "mine:other/calmer"]],
    [{ base: "GOOGLE/gemma-2-2b-it" }, ["first:lab/loud", "mine:other/calmer"]],
    [{ base: "2b-it" }, []],
    [{ architecture: "llama" }, ["first:lab/calm"]],
    [{ kind: "addition", license: "mit" }, ["first:lab/calm", "mine:other/calmer"]],
    [{ kind: "lora" }, []],
    [{ component: "attention_value_output", text: "calm" }, ["first:lab/calm", "mine:other/calmer"]],
    [{ component: "attention_value" }, []],
    [{ maxBytes: 10 }, []],
  ])("%j", async (options, expected) => expect(await namesFor(options)).toEqual(expected));

  test("finds what a plain look at every row finds, whatever is asked", async () => {
    const everything = (await searchInterventions(from)).found;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom("calm", "lm", "z", "ö", ".", "a.b")),
        async (text) => {
          const words = text.toLowerCase().split(/\s+/);
          const due = everything.filter(({ name, summary, tags, base, kinds, components }) => {
            const all = [name, summary, ...tags, base.model ?? "", ...kinds, ...components].join("\n").toLowerCase();
            return words.every((word) => all.includes(word));
          });
          expect(await namesFor({ text })).toEqual(due.map(({ registry, name }) => `${registry}:${name}`));
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  test.each([0, 1.5, -1, Number.NaN])("a limit of %p is refused", async (limit) => {
    await expect(searchInterventions({ ...from, limit })).rejects.toMatchObject({ code: "registry-usage" });
  });
});
