/** The model card: what the Hub reads from it, and that no text from a manifest becomes markup. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parse } from "yaml";
import { renderCard } from "../../src/artefact/card.ts";
import { escapeMarkdown, yamlString } from "../../src/artefact/escape.ts";
import { draft, sample } from "./samples.ts";

function frontMatterOf(card: string): { [key: string]: unknown } {
  const found = /^---\n([\s\S]*?)\n---\n/.exec(card);
  return parse(found![1]!);
}

describe("renderCard", () => {
  test("has the front matter that the Hub indexes", () => {
    const card = renderCard(sample().manifest, { pyvene: true });
    expect(frontMatterOf(card)).toEqual({
      library_name: "vene",
      license: "apache-2.0",
      base_model: "me/model",
      base_model_relation: "adapter",
      tags: ["vene", "intervention", "activation-steering", "pyvene"],
    });
    expect(card).toContain('vene generate --model me/model --intervention . "your prompt"');
    expect(card).toContain("| addition | layer 1 block_output | 1 (-4 to 4) | generated |");
    expect(card).toContain("pyvene.IntervenableModel.load");
    expect(renderCard(sample().manifest, { pyvene: false })).not.toContain("pyvene.IntervenableModel.load");
  });

  test("names no base where none is recorded, and runs nothing where the name is no id", () => {
    const unknown = { ...draft.base, model: null };
    const card = renderCard(sample({ base: unknown }).manifest, { pyvene: false });
    expect(frontMatterOf(card)).not.toHaveProperty("base_model");
    expect(card).toContain("is not recorded");
    const hostile = renderCard(sample({ base: { ...draft.base, model: "x; rm -rf ~" } }).manifest, { pyvene: false });
    expect(frontMatterOf(hostile)).not.toHaveProperty("base_model");
    expect(hostile).toContain("vene generate --model <model>");
  });

  test("text from the manifest shows as text", () => {
    const attack =
      "a\n---\nlicense: mit\n# big <script>alert(1)</script> ![x](http://e.vil/p.png) [y](javascript:z) `c` | d\u202e";
    const card = renderCard(
      sample({
        summary: attack,
        license: 'x"\n---\ntags: [evil]',
        provenance: { tool: { name: "<b>", version: "1" }, description: attack, data: [attack] },
        evaluation: [{ name: attack, metric: "m|n", value: 1 }],
      }).manifest,
      { pyvene: false },
    );
    expect(frontMatterOf(card)).toMatchObject({
      license: 'x"\n---\ntags: [evil]',
      tags: ["vene", "intervention", "activation-steering"],
    });
    expect(card.split("\n").filter((line) => line === "---")).toHaveLength(2);
    const body = card.slice(card.indexOf("\n---\n") + 5);
    expect(body).not.toContain("<script>");
    expect(body).not.toContain("<b>");
    expect(body).not.toContain("\u202e");
    expect(body).not.toMatch(/(?<!\\)!\[|(?<!\\)\]\(j/);
    expect(body).not.toContain("http://");
    expect(
      body
        .split("\n")
        .filter((line) => line.startsWith("#"))
        .map((line) => line.replace(/[^a-z]/gi, "")),
    ).toEqual(["sample", "Use", "Evaluation", "Provenance"]);
  });
});

describe("escaping", () => {
  test("a YAML scalar reads back as it was, from one line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }), (one, other) => {
        for (const text of [one, other]) {
          const line = yamlString(text);
          expect(line).toMatch(/^".*"$/);
          expect(parse(`key: ${line}`)).toEqual({ key: text });
        }
      }),
      { numRuns: 500 },
    );
  });

  test("Markdown stays one line without raw HTML", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const line = escapeMarkdown(text);
        expect(line).not.toMatch(/[<>\n\r\u2028\u2029]/);
        expect(line).not.toMatch(/^([#\-+=]|\d+[.)])/);
      }),
      { numRuns: 500 },
    );
    expect(escapeMarkdown("layer 8 block_output")).toBe("layer 8 block_output");
    expect(escapeMarkdown("_a_ b_c 1. x")).toBe("\\_a\\_ b_c 1. x");
  });
});
