/** npm run bench: speed and memory of vene, plain and steered at every layer, in turns with each other and with pyvene. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Side, SideResult } from "./protocol.ts";
import { pyveneSide, veneSide } from "./sides.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", multiple: true },
    pyvene: { type: "string" },
    rounds: { type: "string", default: "7" },
    "prompt-tokens": { type: "string", default: "64" },
    "new-tokens": { type: "string", default: "64" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const help = `npm run bench -- [--model FOLDER]... [--pyvene PYTHON] [--rounds N] [--json]

Tokens per second plain and steered at every layer (addition at attention_output), their ratio, prefill of 512 tokens, time
until a session is ready, peak memory. Sides run in their own processes and take turns; figures are medians over the rounds
after one warm-up, ratios medians of ratios within a round. Default model: examples/truthful-tiny.
  --model FOLDER   another checkpoint folder (repeatable)
  --pyvene PYTHON  a Python with torch, transformers and pyvene: the same work there, in the same rounds
  --rounds N       rounds (default 7)
  --json           one JSON object`;

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

interface Round {
  plain: SideResult;
  dormant: SideResult;
  steered: SideResult;
  prefill: SideResult;
  pyvene?: SideResult;
}

interface Sides {
  readonly plain: Side;
  readonly steered: Side;
  readonly pyvene: Side | undefined;
}

/** Asks every side once. The order turns with the round, so that none always follows the same one. */
async function playRound(sides: Sides, prefillTokens: number, turn: number): Promise<Round> {
  const size = { promptTokens: Number(values["prompt-tokens"]), newTokens: Number(values["new-tokens"]) };
  const asks: readonly (readonly [keyof Round, () => Promise<SideResult>])[] = [
    ["plain", () => sides.plain.ask({ ...size, steer: false })],
    ["steered", () => sides.steered.ask({ ...size, steer: true })],
    ["dormant", () => sides.steered.ask({ ...size, steer: false })],
    ["prefill", () => sides.plain.ask({ promptTokens: prefillTokens, newTokens: 1, steer: false })],
  ];
  const round: Partial<Round> = {};
  for (let i = 0; i < asks.length; i++) {
    const [name, ask] = asks[(i + turn) % asks.length]!;
    round[name] = await ask();
  }
  if (sides.pyvene !== undefined) round.pyvene = await sides.pyvene.ask({ ...size, steer: true });
  return round as Round;
}

/** Converts weights before anything is timed: "ready" means from the cache. */
async function convertOnce(folder: string): Promise<void> {
  const side = await veneSide(folder, "plain");
  side.close();
}

async function measureModel(folder: string) {
  const { openCheckpoint } = await import("../src/arch/checkpoint.ts");
  const { familyOf } = await import("../src/arch/families.ts");
  const { config } = await openCheckpoint(folder);
  const prefillTokens = Math.min(512, familyOf(config).shape(config).contextLength - 1);
  await convertOnce(folder);
  const sides: Sides = {
    plain: await veneSide(folder, "plain"),
    steered: await veneSide(folder, "steered"),
    pyvene: values.pyvene === undefined ? undefined : await pyveneSide(values.pyvene, folder),
  };
  await playRound(sides, prefillTokens, 0);
  const rounds: Round[] = [];
  for (let i = 0; i < Number(values.rounds); i++) rounds.push(await playRound(sides, prefillTokens, i));
  sides.plain.close();
  sides.steered.close();
  sides.pyvene?.close();
  const speed = (pick: (round: Round) => SideResult) => median(rounds.map((r) => pick(r).decodeTokensPerSecond));
  const ratio = (a: (round: Round) => SideResult, b: (round: Round) => SideResult) =>
    median(rounds.map((r) => a(r).decodeTokensPerSecond / b(r).decodeTokensPerSecond));
  const last = rounds.at(-1)!;
  return {
    model: basename(folder),
    plainTokensPerSecond: speed((r) => r.plain),
    steeredTokensPerSecond: speed((r) => r.steered),
    steeredToPlain: ratio(
      (r) => r.steered,
      (r) => r.plain,
    ),
    dormantToPlain: ratio(
      (r) => r.dormant,
      (r) => r.plain,
    ),
    [`prefill${prefillTokens}TokensPerSecond`]: (prefillTokens / median(rounds.map((r) => r.prefill.promptMs))) * 1000,
    sessionReadyMs: last.steered.readyMs,
    peakRssMb: last.steered.peakRssMb,
    ...(last.pyvene === undefined
      ? {}
      : {
          pyveneSteeredTokensPerSecond: speed((r) => r.pyvene!),
          steeredToPyvene: ratio(
            (r) => r.steered,
            (r) => r.pyvene!,
          ),
          pyvenePeakRssMb: last.pyvene.peakRssMb,
        }),
  };
}

if (values.help) {
  process.stdout.write(`${help}\n`);
} else {
  const tiny = fileURLToPath(new URL("../../examples/truthful-tiny", import.meta.url));
  const results = [];
  for (const folder of [tiny, ...(values.model ?? [])]) {
    if (!existsSync(folder)) throw new Error(`there is no folder ${folder}`);
    results.push(await measureModel(folder));
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ rounds: Number(values.rounds), results }, null, 2)}\n`);
  else for (const result of results) printTable(result);
}

function printTable(result: Readonly<Record<string, number | string>>): void {
  const width = Math.max(...Object.keys(result).map((key) => key.length));
  for (const [key, value] of Object.entries(result)) {
    const text = typeof value === "string" ? value : value.toFixed(value < 10 ? 3 : 1);
    process.stdout.write(`${key.padEnd(width)}  ${text}\n`);
  }
  process.stdout.write("\n");
}
