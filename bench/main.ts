/** npm run bench: speed and memory of vene, plain and steered at every layer, in turns with each other and with pyvene. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median, printTable } from "./figures.ts";
import type { Side, SideRequest, SideResult } from "./protocol.ts";
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

Tokens per second plain, steered at every layer (addition at attention_output; LoReFT of rank 4 at block_output) and with those
interventions there but off, their ratios, prefill of 512 tokens, a forward of 32 tokens with two patches from two sources (the
base as it is included), time until a session is ready, peak memory. Sides run in their own processes and take turns; figures are medians over the rounds
after one warm-up, ratios medians of ratios within a round. Default model: examples/truthful-tiny.
  --model FOLDER   another checkpoint folder (repeatable)
  --pyvene PYTHON  a Python with torch, transformers and pyvene: the same work there, in the same rounds
  --rounds N       rounds (default 7)
  --json           one JSON object`;

/** Base and sources of the forward that is measured. */
const FORWARD_TOKENS = 32;

interface Round {
  plain: SideResult;
  dormant: SideResult;
  steered: SideResult;
  dormantLoreft: SideResult;
  steeredLoreft: SideResult;
  forward: SideResult;
  prefill: SideResult;
  pyvene?: SideResult;
  pyveneForward?: SideResult;
}

interface Sides {
  readonly plain: Side;
  readonly addition: Side;
  readonly loreft: Side;
  readonly patch: Side;
  readonly pyvene: Side | undefined;
}

/** Asks every side once. The order turns with the round, so that none always follows the same one. */
async function playRound(sides: Sides, prefillTokens: number, turn: number): Promise<Round> {
  const size = { promptTokens: Number(values["prompt-tokens"]), newTokens: Number(values["new-tokens"]) };
  const decode = (steer: boolean): SideRequest => ({ ...size, work: "generate", steer });
  const forward: SideRequest = { promptTokens: FORWARD_TOKENS, newTokens: 0, work: "forward", steer: true };
  const prefill: SideRequest = { promptTokens: prefillTokens, newTokens: 1, work: "generate", steer: false };
  const { pyvene } = sides;
  const asks: readonly (readonly [keyof Round, Side, SideRequest])[] = [
    ["plain", sides.plain, decode(false)],
    ["steered", sides.addition, decode(true)],
    ["dormant", sides.addition, decode(false)],
    ["steeredLoreft", sides.loreft, decode(true)],
    ["dormantLoreft", sides.loreft, decode(false)],
    ["forward", sides.patch, forward],
    ["prefill", sides.plain, prefill],
  ];
  const round: Partial<Round> = {};
  for (let i = 0; i < asks.length; i++) {
    const [name, side, request] = asks[(i + turn) % asks.length]!;
    round[name] = await side.ask(request);
  }
  if (pyvene !== undefined) {
    round.pyvene = await pyvene.ask(decode(true));
    round.pyveneForward = await pyvene.ask(forward);
  }
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
    addition: await veneSide(folder, "addition"),
    loreft: await veneSide(folder, "loreft"),
    patch: await veneSide(folder, "patch"),
    pyvene: values.pyvene === undefined ? undefined : await pyveneSide(values.pyvene, folder),
  };
  await playRound(sides, prefillTokens, 0);
  const rounds: Round[] = [];
  for (let i = 0; i < Number(values.rounds); i++) rounds.push(await playRound(sides, prefillTokens, i));
  for (const side of Object.values(sides)) (side as Side | undefined)?.close();
  return figures(basename(folder), rounds, prefillTokens);
}

type Figures = Readonly<Record<string, number | string>>;

function figures(model: string, rounds: readonly Round[], prefillTokens: number): Figures {
  type Pick = (round: Round) => SideResult;
  const speed = (pick: Pick) => median(rounds.map((r) => pick(r).decodeTokensPerSecond));
  const ratio = (a: Pick, b: Pick) =>
    median(rounds.map((r) => a(r).decodeTokensPerSecond / b(r).decodeTokensPerSecond));
  const plain: Pick = (r) => r.plain;
  const last = rounds.at(-1)!;
  const ours = {
    model,
    plainTokensPerSecond: speed(plain),
    steeredTokensPerSecond: speed((r) => r.steered),
    steeredToPlain: ratio((r) => r.steered, plain),
    dormantToPlain: ratio((r) => r.dormant, plain),
    loreftToPlain: ratio((r) => r.steeredLoreft, plain),
    dormantLoreftToPlain: ratio((r) => r.dormantLoreft, plain),
    [`prefill${prefillTokens}TokensPerSecond`]: (prefillTokens / median(rounds.map((r) => r.prefill.promptMs))) * 1000,
    forwardTwoSourcesMs: median(rounds.map((r) => r.forward.forwardMs)),
    sessionReadyMs: last.steered.readyMs,
    peakRssMb: last.steered.peakRssMb,
  };
  if (last.pyvene === undefined) return ours;
  return {
    ...ours,
    pyveneSteeredTokensPerSecond: speed((r) => r.pyvene!),
    steeredToPyvene: ratio(
      (r) => r.steered,
      (r) => r.pyvene!,
    ),
    pyveneForwardTwoSourcesMs: median(rounds.map((r) => r.pyveneForward!.forwardMs)),
    forwardToPyvene: median(rounds.map((r) => r.pyveneForward!.forwardMs / r.forward.forwardMs)),
    pyvenePeakRssMb: last.pyvene.peakRssMb,
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
