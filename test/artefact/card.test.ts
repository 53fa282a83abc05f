/** The model card: what the Hub reads from it, and that no text from a manifest becomes markup. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parse } from "yaml";
import { renderCard } from "../../src/artefact/card.ts";
import { escapeMarkdown, plainLine } from "../../src/artefact/escape.ts";
import { licenseFields } from "../../src/artefact/hub-licenses.ts";
import { frontMatterOf } from "./cards.ts";
import { draft, sample } from "./samples.ts";

interface ModelIndex {
  "model-index": [{ results: [{ dataset: { name: string }; metrics: [{ type: string }] }] }];
}

describe("renderCard", () => {
  test("has the front matter that the Hub indexes", () => {
    const card = renderCard(sample().manifest, { pyvene: true });
    expect(frontMatterOf(card)).toEqual({
      library_name: "vene",
      license: "apache-2.0",
      base_model: "me/model",
      base_model_relation: "adapter",
      pipeline_tag: "text-generation",
      tags: ["vene", "intervention", "activation-steering", "addition", "zero", "pyvene"],
    });
  });

  test("says what it does, where, how strongly and on which tokens", () => {
    const card = renderCard(sample().manifest, { pyvene: false });
    expect(card).toContain("| addition | layer 1 block_output | 1 (-4 to 4) | generated |");
    expect(card).toContain("- addition: `b[:k] += strength * s[:k]`");
    expect(card).toMatch(/- intervention.safetensors: \d+ bytes, sha256 [0-9a-f]{64}/);
  });

  test("shows how to use it from a folder and from the Hub, and pyvene only where pyvene can", () => {
    const here = renderCard(sample().manifest, { pyvene: false });
    expect(here).toContain('vene generate --model me/model --intervention . "your prompt"');
    expect(here).not.toContain("pyvene.IntervenableModel.load");
    const there = renderCard(sample().manifest, { pyvene: true, repo: "me/x" });
    expect(there).toContain('vene generate --model me/model --intervention me/x "your prompt"');
    expect(there).toContain('await IntervenableModel.load("me/x", model)');
    expect(there).toContain('pyvene.IntervenableModel.load("me/x", model=model)');
  });

  test("gives evaluation rows to the Hub as model-index", () => {
    const evaluation = [{ name: "truth", metric: "accuracy", split: "test", value: 0.75, baseline: 0.5, n: 40 }];
    const card = renderCard(sample({ evaluation }).manifest, { pyvene: false });
    expect(frontMatterOf(card)["model-index"]).toEqual([
      {
        name: "sample",
        results: [
          {
            task: { type: "text-generation" },
            dataset: { type: "truth", name: "truth", split: "test" },
            metrics: [
              { type: "accuracy", name: "accuracy", value: 0.75, args: { n: 40 } },
              { type: "accuracy", name: "accuracy without the intervention", value: 0.5, args: { n: 40 } },
            ],
          },
        ],
      },
    ]);
    expect(card).toContain("| truth (test) | accuracy | 0.75 | 0.5 | 40 |");
    expect(card).not.toContain("No evaluation");
  });

  test("shows samples as text", () => {
    const samples = [{ prompt: "Q: <b>?", plain: "| no\n|", steered: "y".repeat(700), strength: 2 }];
    const card = renderCard(sample().manifest, { pyvene: false, samples });
    expect(card).toContain(`| Q: &lt;b&gt;? | \\| no \\| | (strength 2) ${"y".repeat(587)} ... |`);
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
      "a\n---\nlicense: mit\n# big <script>alert(1)</script> ![x](http://e.vil/p.png) [y](javascript:z) `c` | d\u202e <!-- /vene:card -->";
    const card = renderCard(
      sample({
        summary: attack,
        license: 'x"\n---\ntags: [evil]',
        provenance: { tool: { name: "<b>", version: "1" }, description: attack, data: [attack] },
        evaluation: [{ name: attack, metric: "m|n", value: 1 }],
      }).manifest,
      { pyvene: false, samples: [{ prompt: attack, plain: attack, steered: attack }] },
    );
    expect(frontMatterOf(card)).toMatchObject({ license: "other", license_name: "x-tags-evil" });
    expect(frontMatterOf(card)["tags"]).toEqual(["vene", "intervention", "activation-steering", "addition", "zero"]);
    expect(card.split("\n").filter((line) => line === "---")).toHaveLength(2);
    const body = card.slice(card.indexOf("\n---\n") + 5);
    expect(body).not.toContain("<script>");
    expect(body).not.toContain("<b>");
    expect(body).not.toContain("\u202e");
    expect(body).not.toMatch(/(?<!\\)!\[|(?<!\\)\]\(j/);
    expect(body).not.toContain("http://");
    expect(body.split("<!-- /vene:card -->")).toHaveLength(2);
    expect(
      body
        .split("\n")
        .filter((line) => line.startsWith("#"))
        .map((line) => line.replace(/[^a-z]/gi, "")),
    ).toEqual(["sample", "Samples", "Use", "Evaluation", "Provenance", "Limits"]);
  });

  test("front matter reads back, whatever the texts are", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", minLength: 1 }),
      fc.constantFrom("no", "012", "1e3", "~", "- a: b"),
    );
    fc.assert(
      fc.property(text, text, (name, metric) => {
        const { manifest } = sample({ evaluation: [{ name, metric, value: 1 }] });
        const read = frontMatterOf(renderCard(manifest, { pyvene: false })) as unknown as ModelIndex;
        const [result] = read["model-index"][0].results;
        expect([result.dataset.name, result.metrics[0].type]).toEqual([name, metric].map((it) => plainLine(it) || "?"));
      }),
      { numRuns: 200 },
    );
  });
});

test("licences the Hub does not know are named beside other", () => {
  expect(licenseFields("Apache-2.0")).toEqual({ license: "apache-2.0" });
  expect(licenseFields("unknown")).toEqual({ license: "unknown" });
  expect(licenseFields("My Licence (v2.0)")).toEqual({ license: "other", license_name: "my-licence-v2.0" });
  expect(licenseFields("!")).toEqual({ license: "other" });
});

describe("escaping", () => {
  test("Markdown stays one line without raw HTML", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const line = escapeMarkdown(text);
        expect(line).not.toMatch(/[<>\n\r\u2028\u2029]/);
        expect(line).not.toMatch(/^([#\-+=]|\d+[.)]( |$))/);
      }),
      { numRuns: 500 },
    );
    expect(escapeMarkdown("layer 8 block_output")).toBe("layer 8 block_output");
    expect(escapeMarkdown("_a_ b_c 1. x")).toBe("\\_a\\_ b_c 1. x");
  });
});

test("what YAML 1.1 takes for other things is in quotes", () => {
  const { manifest } = sample({ evaluation: [{ name: "yes", metric: "012", value: 1, split: "2024-01-01" }] });
  const card = renderCard(manifest, { pyvene: false });
  const found = /^---\n([\s\S]*?)\n---\n/.exec(card)![1]!;
  expect(parse(found, { version: "1.1" })).toEqual(parse(found));
  expect(found).toContain('split: "2024-01-01"');
});
