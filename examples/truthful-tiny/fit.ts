/** Fits the `honest` intervention of the demo: inference-time intervention (Li et al., 2023) on truthful-tiny, with vene alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { IntervenableModel, loadModel, type Model } from "../../src/index.ts";

interface Question {
  readonly question: string;
  readonly true: string;
  readonly false: string;
}

interface Questions {
  readonly fit: readonly Question[];
  readonly voices: { readonly true: readonly string[]; readonly false: readonly string[] };
}

/** One attention head with how well it tells true from false speakers on the fit half, as a probe on its mean difference. */
interface Head {
  readonly layer: number;
  readonly head: number;
  readonly accuracy: number;
}

type Rows = readonly Float32Array[];

const component = "attention_value_output";
/** What is tried; the fit half decides, ties go to fewer heads, then to the smaller strength. */
const grid = { heads: [4, 8, 12, 16, 24], strengths: [0.8, 0.9, 1, 1.2, 1.4] };
const lastPromptToken = { prompt: "last", generated: "none" } as const;

const folder = process.argv[2] ?? "examples/truthful-tiny";
const { fit, voices } = JSON.parse(readFileSync(join(folder, "questions.json"), "utf8")) as Questions;
const model = await loadModel(folder);

const promptsOf = (speakers: readonly string[]) =>
  speakers.flatMap((speaker) => fit.map(({ question }) => `Q: ${question} ${speaker}:`));

/** Per layer, the input of o_proj at the last token of each prompt. */
async function activations(prompts: readonly string[]): Promise<readonly Rows[]> {
  const layers = [...new Array(model.shape.layers).keys()];
  const reader = new IntervenableModel(
    { representations: layers.map((layer) => ({ layer, component, interventionType: "collect" })) },
    model,
  );
  const rows: Float32Array[][] = layers.map(() => []);
  for (let i = 0; i < prompts.length; i += 100) {
    const base = prompts.slice(i, i + 100);
    const read = await reader.collect({ base, unitLocations: { base: layers.map(() => [[-1]]) } });
    read.forEach((tensor, layer) => {
      const values = tensor.toFloat32();
      const width = tensor.shape[2]!;
      for (let row = 0; row < base.length; row++) rows[layer]!.push(values.slice(row * width, (row + 1) * width));
    });
  }
  return rows;
}

function mean(rows: Rows): Float32Array {
  const sums = new Float64Array(rows[0]!.length);
  for (const row of rows) {
    for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + row[i]!;
  }
  return Float32Array.from(sums, (sum) => sum / rows.length);
}

/** Heads by how many fit prompts their projection on the mean difference puts on the right side of the midpoint. */
function rankHeads(truths: readonly Rows[], lies: readonly Rows[], directions: Rows): Head[] {
  const { count, size } = model.sites.locate({ layer: 0, component: "head_attention_value_output", unit: "h" }).heads!;
  const ranked: Head[] = [];
  directions.forEach((direction, layer) => {
    for (let head = 0; head < count; head++) {
      const project = (row: Float32Array) => {
        let sum = 0;
        for (let i = head * size; i < (head + 1) * size; i++) sum += row[i]! * direction[i]!;
        return sum;
      };
      const yes = truths[layer]!.map(project);
      const no = lies[layer]!.map(project);
      const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
      const middle = (average(yes) + average(no)) / 2;
      const right = yes.filter((value) => value > middle).length + no.filter((value) => value <= middle).length;
      ranked.push({ layer, head, accuracy: right / (yes.length + no.length) });
    }
  });
  return ranked.sort((a, b) => b.accuracy - a.accuracy || a.layer - b.layer || a.head - b.head);
}

/** The directions with all heads but the chosen ones zeroed, one addition per layer that has any. */
function interventionOf(directions: Rows, heads: readonly Head[], strength: number, base: Model): IntervenableModel {
  const { size } = base.sites.locate({ layer: 0, component: "head_attention_value_output", unit: "h" }).heads!;
  const layers = [...new Set(heads.map(({ layer }) => layer))].sort((a, b) => a - b);
  return new IntervenableModel(
    {
      name: "honest",
      summary:
        "Makes the plain speaker A answer truthfully: ITI on the attention heads that tell true speakers from false ones.",
      license: "apache-2.0",
      provenance: {
        method:
          "inference-time intervention (Li et al., 2023): difference of means at the last prompt token, heads chosen by probe",
        description: `Contrast: true speakers minus the mean of false speakers and of A, fit half only. Heads: ${heads
          .map(({ layer, head }) => `${layer}.${head}`)
          .join(", ")}.`,
        data: ["questions.json, fit half"],
      },
      representations: layers.map((layer) => ({
        layer,
        component,
        interventionType: "addition",
        tokens: lastPromptToken,
        strength: { default: strength, min: 0, max: 2 },
        sourceRepresentation: directions[layer]!.map((value, i) =>
          heads.some((head) => head.layer === layer && head.head === Math.floor(i / size)) ? value : 0,
        ),
      })),
    },
    base,
  );
}

async function trueRate(iv: IntervenableModel): Promise<number> {
  const answers = await iv.generate(promptsOf(["A"]), { maxNewTokens: 8 });
  const right = answers.filter(({ text }, i) => text.trim().split(".")[0]!.trim() === fit[i]!.true);
  return right.length / fit.length;
}

const truths = await activations(promptsOf(voices.true));
const lies = await activations(promptsOf(voices.false));
const plain = await activations(promptsOf(["A"]));
const directions = truths.map((rows, layer) => {
  const [yes, no, own] = [mean(rows), mean(lies[layer]!), mean(plain[layer]!)];
  return yes.map((value, i) => value - (no[i]! + own[i]!) / 2);
});
const ranking = rankHeads(truths, lies, directions);

let best = { rate: -1, heads: 0, strength: 0 };
for (const heads of grid.heads) {
  for (const strength of grid.strengths) {
    const rate = await trueRate(interventionOf(directions, ranking.slice(0, heads), strength, model));
    process.stderr.write(`heads ${heads}, strength ${strength}: true-rate on the fit half ${rate.toFixed(3)}\n`);
    if (rate > best.rate) best = { rate, heads, strength };
  }
}
const chosen = interventionOf(directions, ranking.slice(0, best.heads), best.strength, model);
const { files } = await chosen.save(join(folder, "honest"));
process.stdout.write(
  `heads ${best.heads}, strength ${best.strength}, fit true-rate ${best.rate.toFixed(3)}: ${files.join(", ")}\n`,
);
await model.release();
