/**
 * Fits steering vectors for SmolLM2-135M-Instruct: differences of means of a few sentences, layer and strength by measurement.
 * npm run fit:styles -- FOLDER [OUT] [NOTE ON THE WEIGHTS]
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type IntervenableConfig,
  IntervenableModel,
  loadModel,
  type Model,
  type TokensPolicy,
} from "../../src/index.ts";

interface Style {
  readonly summary: string;
  readonly with: readonly string[];
  readonly without: readonly string[];
  /** Words that the style shows in. */
  readonly words: readonly string[];
}

interface Recipe {
  /** Questions that layer and strength are chosen on, and those that the result is reported on. */
  readonly prompts: { readonly choose: readonly string[]; readonly report: readonly string[] };
  readonly styles: Readonly<Record<string, Style>>;
}

const own = "examples/smollm2-styles";
const baseId = "HuggingFaceTB/SmolLM2-135M-Instruct";
/** What is tried. Strength 1 adds the whole difference of means. */
const grid = { layers: [8, 11, 14, 17, 20], strengths: [0.75, 1, 1.5, 2] };
/** Less than this share of different word pairs is a broken record. */
const LEAST_VARIETY = 0.75;
const NEW_TOKENS = 40;
const tokens: TokensPolicy = { prompt: "last", generated: "all" };

const [folder = "", out = own, note = ""] = process.argv.slice(2);
const { prompts, styles } = JSON.parse(readFileSync(join(own, "styles.json"), "utf8")) as Recipe;

/** Mean activation over the tokens of all texts at each layer of the grid. */
async function means(model: Model, texts: readonly string[]): Promise<Map<number, Float64Array>> {
  const reader = new IntervenableModel(
    {
      representations: grid.layers.map((layer) => ({ layer, component: "block_output", interventionType: "collect" })),
    },
    model,
  );
  const sums = new Map(grid.layers.map((layer) => [layer, new Float64Array(model.shape.hiddenSize)]));
  let count = 0;
  for (const text of texts) {
    const collected = await reader.collect({ base: text });
    const width = model.shape.hiddenSize;
    const length = collected[0]!.shape[1]!;
    // The first token's activations are huge and the same in every text.
    for (let position = 1; position < length; position++, count++) {
      collected.forEach((tensor, i) => {
        const sum = sums.get(grid.layers[i]!)!;
        const row = tensor.toFloat32().subarray(position * width, (position + 1) * width);
        row.forEach((value, feature) => {
          sum[feature]! += value;
        });
      });
    }
  }
  return new Map([...sums].map(([layer, sum]) => [layer, sum.map((value) => value / count)]));
}

const wordsOf = (text: string) => text.toLowerCase().match(/[\p{L}']+/gu) ?? [];

/** Share of an answer's words that are the style's. */
function share(text: string, style: Style): number {
  const words = wordsOf(text);
  return words.filter((word) => style.words.includes(word)).length / Math.max(1, words.length);
}

/** Share of an answer's word pairs that are different. */
function variety(text: string): number {
  const words = wordsOf(text);
  const pairs = words.slice(1).map((word, i) => `${words[i]} ${word}`);
  return new Set(pairs).size / Math.max(1, pairs.length);
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const average = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
const asked = (list: readonly string[]) => list.map((content) => [{ role: "user", content }]);

function interventionOf(model: Model, name: string, style: Style, layer: number, vector: Float64Array, strength = 1) {
  const config: IntervenableConfig = {
    name: `${name}-smollm2-135m`,
    summary: style.summary,
    license: "apache-2.0",
    representations: {
      layer,
      component: "block_output",
      interventionType: "addition",
      sourceRepresentation: Float32Array.from(vector),
      tokens,
      strength: { default: strength, min: -2 * strength, max: 2 * strength },
    },
    provenance: {
      method: "difference of means",
      description: `mean activation over the tokens of ${style.with.length} sentences with the style minus that of ${style.without.length} without it${note === "" ? "" : `; ${note}`}`,
      data: [`${own}/styles.json`],
    },
  };
  return { config, iv: new IntervenableModel(config, model) };
}

interface Choice {
  readonly layer: number;
  readonly strength: number;
  readonly score: number;
}

async function choose(model: Model, name: string, style: Style, vectors: Map<number, Float64Array>): Promise<Choice> {
  let best: Choice = { layer: grid.layers[0]!, strength: 0, score: -1 };
  for (const layer of grid.layers) {
    const { iv } = interventionOf(model, name, style, layer, vectors.get(layer)!);
    const rows = grid.strengths.flatMap((strength) => prompts.choose.map((prompt) => ({ prompt, strength })));
    const answers = await iv.generate(asked(rows.map(({ prompt }) => prompt)), {
      strength: rows.map(({ strength }) => strength),
      maxNewTokens: NEW_TOKENS,
    });
    for (const strength of grid.strengths) {
      const texts = answers.filter((_, i) => rows[i]!.strength === strength).map(({ text }) => text);
      const score = average(texts.map((text) => share(text, style)));
      const lively = average(texts.map(variety));
      say(`${name} layer ${layer} strength ${strength}: share ${score.toFixed(3)}, variety ${lively.toFixed(3)}`);
      if (lively >= LEAST_VARIETY && score > best.score) best = { layer, strength, score };
    }
  }
  return best;
}

async function fitStyle(model: Model, name: string, style: Style): Promise<void> {
  const [plus, minus] = [await means(model, style.with), await means(model, style.without)];
  const vectors = new Map(
    grid.layers.map((layer) => [layer, plus.get(layer)!.map((value, i) => value - minus.get(layer)![i]!)]),
  );
  const { layer, strength } = await choose(model, name, style, vectors);
  const { config, iv } = interventionOf(model, name, style, layer, vectors.get(layer)!, strength);
  const questions = asked(prompts.report);
  const shares = (answers: readonly { readonly text: string }[]) =>
    average(answers.map(({ text }) => share(text, style)));
  const value = shares(await iv.generate(questions, { maxNewTokens: NEW_TOKENS }));
  const baseline = shares(await model.generate(questions, { maxNewTokens: NEW_TOKENS }));
  const metric = `share of words that are ${name}`;
  const evaluation = [{ name: "6 questions that were not chosen on", metric, value, baseline, n: questions.length }];
  const final = new IntervenableModel({ ...config, evaluation }, model);
  await final.save(join(out, name), { samples: questions.slice(0, 3), maxNewTokens: NEW_TOKENS });
  say(`${name}: layer ${layer}, strength ${strength}, share ${baseline.toFixed(3)} -> ${value.toFixed(3)}`);
}

const model = await loadModel(folder, { name: baseId });
for (const [name, style] of Object.entries(styles)) await fitStyle(model, name, style);
await model.release();
