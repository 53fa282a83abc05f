/** Updating a README.md: what the user wrote stays, and nothing that claims to be a card can do harm. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { renderCard } from "../../src/artefact/card.ts";
import { readArtefact, readCard, writeArtefact } from "../../src/artefact/read.ts";
import { frontMatterOf } from "./cards.ts";
import { temporaryFolder } from "./places.ts";
import { sample } from "./samples.ts";

const { manifest } = sample();
const update = (before: string, options = {}) => renderCard(manifest, { pyvene: false, before, ...options });
const fresh = renderCard(manifest, { pyvene: false });

describe("the user's text", () => {
  test("stays above and below the marks, and a second update changes nothing", () => {
    const end = "<!-- /vene:card -->\n";
    const mine = fresh
      .replace("---\n\n<!--", "---\n\n# Mine\n\nabove\n\n<!--")
      .replace(end, `${end}\n## Also mine\n\n---\n`);
    const card = update(mine.replace("A sample.", "An old summary."));
    expect(card).toBe(mine);
    expect(update(card)).toBe(card);
  });

  test("without marks stays, and the card follows", () => {
    const card = update("# My page\n\n---\n\ntext\n");
    expect(card).toContain("\n---\n\n# My page\n\n---\n\ntext\n\n<!-- vene:card");
    expect(update(card)).toBe(card);
  });

  test("survives stray marks", () => {
    const start = fresh.split("\n").find((line) => line.startsWith("<!-- vene:card"))!;
    for (const stray of [start, "<!-- /vene:card -->", `<!-- /vene:card -->\n${start}`]) {
      const once = update(`mine 1\n\n${stray}\n\nmine 2\n`);
      const twice = update(once);
      for (const card of [once, twice]) expect(card).toMatch(/mine 1[\s\S]*mine 2/);
      expect(twice).toBe(once);
    }
  });

  test("whatever it is, is there after two updates", () => {
    const text = fc.array(
      fc.constantFrom("---\n", "\r\n", "a: b\n", "<!-- vene:card -->", "<!-- /vene:card -->", "x", "\n"),
    );
    fc.assert(
      fc.property(text, (pieces) => {
        const mine = `text\n${pieces.join("")}`;
        const words = (card: string) => card.match(/x|a: b/g)?.length ?? 0;
        const once = update(mine);
        const added = words(once) - words(mine);
        expect(added).toBeGreaterThanOrEqual(
          words(update("text")) - words("text") - mine.split("<!-- vene:card -->").join("").length,
        );
        expect(update(once)).toBe(once);
      }),
      { numRuns: 300 },
    );
  });
});

describe("front matter of the user's", () => {
  test("keeps keys, comments and tags; vene's keys are set", () => {
    const before =
      "---\n# mine\nlanguage: [en]   # two\nlicense: mit\ntags: [zero, honesty, pyvene]\nmodel-index:\n- name: other\n---\n";
    const card = update(before);
    expect(card).toContain("# mine\nlanguage: [en] # two\n");
    expect(frontMatterOf(card)).toMatchObject({
      language: ["en"],
      license: "apache-2.0",
      tags: ["vene", "intervention", "activation-steering", "addition", "zero", "honesty"],
      "model-index": [{ name: "other" }],
    });
  });

  test("tells the licence and the base where the manifest does not", () => {
    const unknown = sample({
      license: "unknown",
      base: { model: null, architecture: null, layers: null, hiddenSize: null },
    });
    const before = "---\nlicense: mit\nbase_model: a/b\npipeline_tag: text-classification\n---\n";
    const card = renderCard(unknown.manifest, { pyvene: false, before });
    expect(frontMatterOf(card)).toMatchObject({
      license: "mit",
      base_model: "a/b",
      pipeline_tag: "text-classification",
    });
  });

  test("evaluation that is gone leaves model-index, and the licence's name goes with it", () => {
    const evaluated = sample({ evaluation: [{ name: "d", metric: "m", value: 1 }], license: "mine" });
    const before = renderCard(evaluated.manifest, { pyvene: true });
    expect(frontMatterOf(before)).toMatchObject({ license_name: "mine" });
    expect(Object.keys(frontMatterOf(update(before)))).toEqual(Object.keys(frontMatterOf(fresh)));
  });
});

describe("samples", () => {
  const samples = [{ prompt: "Hi", plain: "Hello", steered: "Ahoy" }];

  test("stay while tensors and settings are the same", () => {
    const before = update("", { samples });
    expect(before).toContain("| Hi | Hello | Ahoy |");
    expect(update(before)).toBe(before);
    expect(update(before, { samples: [] })).not.toContain("Ahoy");
    const other = sample({
      interventions: [{ ...manifest.interventions[0]!, strength: { default: 2, min: 0, max: 4 } }],
    });
    expect(renderCard(other.manifest, { pyvene: false, before })).not.toContain("Ahoy");
  });
});

describe("hostile cards (case 28)", () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${[..."bcdefghi"]
    .map((name, i) => `${name}: &${name} [${Array(10).fill(`*${"abcdefgh"[i]}`)}]`)
    .join("\n")}`;

  test.each([
    ["a bomb of anchors", bomb],
    ["tabs", "tags:\n\t- a"],
    ["a list", "- a\n- b"],
    ["a text", "just words"],
    ["a key twice", "a: 1\na: 2"],
    ["an alias to a key that vene sets", "tags: &t [a]\nother: *t"],
    ["nesting", "[".repeat(50_000)],
    ["broken quotes", 'a: "b'],
    ["100 kB too much", `a: ${"b".repeat(200_000)}`],
  ])("%s in the front matter is refused", (_, yaml) => {
    expect(() => update(`---\n${yaml}\n---\ntext\n`)).toThrow(expect.objectContaining({ code: "card-invalid" }));
  });

  test("keys of prototypes are data", () => {
    const card = update("---\n__proto__: {polluted: 1}\nconstructor: x\n---\n");
    expect(card).toContain("__proto__:");
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("carriage returns, a byte order mark and an empty front matter are read", () => {
    const card = update("\ufeff---\r\nlanguage: en\r\n---\r\n\r\nline 1\r\nline 2\r\n");
    expect(frontMatterOf(card)).toMatchObject({ language: "en", library_name: "vene" });
    expect(card).toContain("line 1\r\nline 2\n");
    expect(update("---\n---\ntext")).toContain("library_name: vene\n");
  });

  test("dashes inside end the front matter where they end it for the Hub", () => {
    const card = update("---\nlanguage: en\n---\ntext\n---\nlicense: mit\n---\n");
    expect(frontMatterOf(card)).toMatchObject({ language: "en", license: "apache-2.0" });
    expect(card).toContain("text\n---\nlicense: mit\n---\n");
  });

  test("dashes that nothing closes are text", () => {
    expect(update("---\nlanguage: en\n")).toContain("\n---\n\n---\nlanguage: en\n\n<!-- vene:card");
  });

  test("50 MB are not read, and what is no UTF-8 is refused", async () => {
    const folder = await temporaryFolder();
    await writeArtefact(folder, sample());
    for (const content of [Buffer.alloc(50_000_000, "a"), Buffer.from([0x66, 0xff])]) {
      await writeFile(join(folder, "README.md"), content);
      await expect(writeArtefact(folder, sample())).rejects.toMatchObject({ code: "card-invalid" });
      expect((await readFile(join(folder, "README.md"))).equals(content)).toBe(true);
    }
    expect((await readArtefact(folder)).source).toBe("format1");
  });
});

test("saving over a folder keeps the text of its README", async () => {
  const folder = await temporaryFolder();
  await writeArtefact(folder, sample());
  const path = join(folder, "README.md");
  await writeFile(path, `${await readFile(path, "utf8")}\nMy notes.\n`);
  await writeArtefact(folder, sample({ summary: "Another." }));
  const card = await readFile(path, "utf8");
  expect(card).toContain("Another.");
  expect(card).toMatch(/<!-- \/vene:card -->\n\nMy notes.\n$/);
  expect(await readCard(join(folder, "nowhere"))).toBeUndefined();
  expect(await readCard(path)).toBeUndefined();
  await mkdir(join(folder, "odd", "README.md"), { recursive: true });
  await expect(readCard(join(folder, "odd"))).rejects.toMatchObject({ code: "file-unreadable" });
});
