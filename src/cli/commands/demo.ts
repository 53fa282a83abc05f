/** `vene demo`: a tiny model that answers falsely, and the intervention that makes it truthful, measured on the spot. */
import { join } from "node:path";
import type { Generation, GenerationStream, IntervenableModel } from "../../index.ts";
import { answerIn, promptFor, type Question, readTestQuestions, trueRate } from "../demo-questions.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { openModel } from "../loading.ts";
import { ownPackage } from "../package-root.ts";
import { Progress } from "../progress.ts";
import { painter } from "../style.ts";

const help = `
The model (truthful-tiny, 0.9 M parameters) and the intervention come with vene; nothing is fetched. The intervention is
loaded by its name in vene's own registry, vene/honest-truthful-tiny@^1, at the digest that a lockfile has for it. The
speaker called A was trained to answer falsely, the one called Teacher truthfully: Teacher's rate is the most the
intervention can reach. The three rates are of greedy answers to all test questions, computed now.

Examples:
  $ vene demo
  $ vene demo --json
`;

/** In the registry that comes with vene, at the version that the lockfile beside the model has. */
const intervention = "vene/honest-truthful-tiny@^1";

const SHOWN = 6;
/** Prompts answered at a time. */
const BATCH = 50;
const MAX_NEW_TOKENS = 8;

export const defineDemo: DefineCommand = (command, context) => {
  command
    .description("Answers questions with a tiny model, without and with an intervention that makes it truthful.")
    .addHelpText("after", help)
    .action(async () => demo(context()));
};

async function demo(context: CommandContext): Promise<void> {
  const { IntervenableModel: Intervenable } = await import("../../index.ts");
  const folder = join(ownPackage().root, "examples", "truthful-tiny");
  const questions = await readTestQuestions(join(folder, "questions.json"));
  const progress = new Progress(context);
  const model = await openModel(folder, context, progress);
  try {
    const iv = await Intervenable.load(intervention, model, {
      registry: "default",
      lockfile: join(folder, "interventions.lock.json"),
      frozen: true,
      hub: { variables: context.env },
    });
    await iv.warmUp();
    const asked: Asked = { questions, context, progress };
    const options = { maxNewTokens: MAX_NEW_TOKENS, signal: context.interrupt.signal };
    const plain = await answers("A", asked, (prompts) => model.generate(prompts, options));
    const steered = await answers("A", asked, (prompts) => iv.generate(prompts, options));
    const teacher = await answers("Teacher", asked, (prompts) => model.generate(prompts, options));
    await print({ questions, plain, steered, teacher, iv }, context);
  } finally {
    progress.clear();
    await model.release();
  }
}

interface Asked {
  readonly questions: readonly Question[];
  readonly context: CommandContext;
  readonly progress: Progress;
}

async function answers(
  speaker: string,
  { questions, context, progress }: Asked,
  generate: (prompts: readonly string[]) => GenerationStream<Generation[]>,
): Promise<readonly string[]> {
  const out: string[] = [];
  context.interrupt.hold();
  for (let at = 0; at < questions.length; at += BATCH) {
    progress.report({ phase: "answering", done: at, total: questions.length, unit: "items" });
    const prompts = questions.slice(at, at + BATCH).map((question) => promptFor(question, speaker));
    for (const { text } of await generate(prompts)) out.push(answerIn(text));
  }
  context.interrupt.letGo();
  progress.clear();
  return out;
}

interface Outcome {
  readonly questions: readonly Question[];
  readonly plain: readonly string[];
  readonly steered: readonly string[];
  readonly teacher: readonly string[];
  readonly iv: IntervenableModel;
}

async function print(outcome: Outcome, context: CommandContext): Promise<void> {
  const { questions, plain, steered, teacher, iv } = outcome;
  const [plainRate, steeredRate, teacherRate] = [plain, steered, teacher].map((given) =>
    trueRate(questions, given),
  ) as [number, number, number];
  if (context.json) {
    const rows = questions.map(({ question, true: truth }, i) => ({
      question,
      true: truth,
      plain: plain[i],
      steered: steered[i],
    }));
    const rates = { teacherTrueRate: teacherRate, plainTrueRate: plainRate, steeredTrueRate: steeredRate };
    const names = { model: iv.model.name, intervention: iv.artefact.manifest.name };
    context.stdout.write(`${JSON.stringify({ ...names, questions: rows, ...rates })}\n`);
    return;
  }
  const { renderTable } = await import("../table.ts");
  const table = renderTable(
    ["question", "truth", "plain", "steered"].map((title) => ({ title })),
    questions.slice(0, SHOWN).map(({ question, true: truth }, i) => [question, truth, plain[i]!, steered[i]!]),
  );
  const bold = (text: string) => painter(context, context.stdout)("bold", text);
  const { stdout } = context;
  stdout.write(`${bold(`${iv.model.name}, plain and steered by "${iv.artefact.manifest.name}"`)}\n\n${table}\n`);
  stdout.write(`All ${questions.length} test questions, greedy:\n`);
  stdout.write(`teacher true-rate: ${teacherRate.toFixed(2)}\n`);
  stdout.write(`plain true-rate: ${plainRate.toFixed(2)}\n`);
  stdout.write(`steered true-rate: ${steeredRate.toFixed(2)}\n`);
}
