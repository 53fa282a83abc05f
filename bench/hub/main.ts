/** npm run bench:hub: speed and memory of pulls and pushes over loopback, in turns with @huggingface/hub and cp. */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { deleteRepo } from "@huggingface/hub";
import { median, printTable } from "../figures.ts";
import type { Client, HubAccess, HubResult, HubSide, HubTask } from "./protocol.ts";
import { hubServer, hubSide, timed } from "./sides.ts";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "1000" },
    rounds: { type: "string", default: "5" },
    dir: { type: "string", default: tmpdir() },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const help = `npm run bench:hub -- [--size MB] [--rounds N] [--dir FOLDER] [--json]

Pulls and pushes one large file and 200 small ones, to and from an embedded Hub in a process of its own: vene, which checks every
byte, beside @huggingface/hub, which checks none, and cp. Each client has a process of its own; they take turns, with the disk
synced in between, and figures are medians over the rounds after one warm-up, ratios medians of ratios within a round.
  --size MB     the large file, in units of 10^6 bytes (default 1000)
  --rounds N    rounds (default 5)
  --dir FOLDER  where everything lies (default: the system's folder for temporary files)
  --json        one JSON object`;

const SMALL_FILES = 200;
const SMALL_BYTES = 20_000;
const MB = 1e6;

interface Bench {
  readonly folder: string;
  readonly access: HubAccess;
  readonly sides: Readonly<Record<string, HubSide>>;
}

/** One set of files, what measures it, and how one measurement is named in the table. */
interface FileSet {
  readonly name: "large" | "small";
  readonly files: readonly string[];
  readonly bytes: number;
  readonly clients: readonly Client[];
}

async function writeNoise(path: string, bytes: number): Promise<void> {
  const file = await open(path, "w");
  for (let left = bytes; left > 0; left -= 1 << 22) await file.write(randomBytes(Math.min(left, 1 << 22)));
  await file.close();
}

async function makeFiles(folder: string, size: number): Promise<readonly FileSet[]> {
  const small = Array.from({ length: SMALL_FILES }, (_, i) => `part-${i}.bin`);
  for (const name of ["large", "small"]) await mkdir(join(folder, name));
  await writeNoise(join(folder, "large/model.safetensors"), size * MB);
  for (const name of small) await writeFile(join(folder, "small", name), randomBytes(SMALL_BYTES));
  return [
    { name: "large", files: ["model.safetensors"], bytes: size * MB, clients: ["vene", "js", "js-file"] },
    { name: "small", files: small, bytes: SMALL_FILES * SMALL_BYTES, clients: ["vene", "js"] },
  ];
}

/** Results of one round by "client pull" and "client push", and of cp. */
type Round = Record<string, HubResult>;

async function playRound(bench: Bench, set: FileSet, turn: number): Promise<Round> {
  const source = join(bench.folder, set.name);
  const round: Round = {};
  const turns: readonly (() => Promise<void>)[] = [
    async () => {
      const target = join(bench.folder, "copy");
      const seconds = await timed("cp", ["-r", source, target]);
      round["cp"] = { seconds, cpuSeconds: 0, peakRssMb: 0 };
      await rm(target, { recursive: true });
    },
    ...set.clients.flatMap((client) => [
      async () => {
        const cache = join(bench.folder, "cache");
        const task: HubTask = { work: "pull", repo: `bench/${set.name}`, folder: cache, files: set.files };
        round[`${client} pull`] = await side(bench, set, client).ask(task);
        await rm(cache, { recursive: true });
      },
      async () => {
        if (client === "js-file") return;
        const task: HubTask = { work: "push", repo: "bench/pushed", folder: source, files: set.files };
        round[`${client} push`] = await side(bench, set, client).ask(task);
        await deleteRepo({ repo: task.repo, hubUrl: bench.access.url, accessToken: bench.access.token });
      },
    ]),
  ];
  for (let i = 0; i < turns.length; i++) {
    await timed("sync", []);
    await turns[(i + turn) % turns.length]!();
  }
  return round;
}

const side = ({ sides }: Bench, { name }: FileSet, client: Client): HubSide => sides[`${name} ${client}`]!;

async function measureSet(bench: Bench, set: FileSet) {
  const { name, files } = set;
  await side(bench, set, "vene").ask({
    work: "push",
    repo: `bench/${name}`,
    folder: join(bench.folder, name),
    files,
  });
  await playRound(bench, set, 0);
  const rounds: Round[] = [];
  for (let i = 0; i < Number(values.rounds); i++) rounds.push(await playRound(bench, set, i));
  return figures(set, rounds);
}

function figures({ name, files, bytes }: FileSet, rounds: readonly Round[]): Record<string, number | string> {
  const speed = (who: string) => median(rounds.map((round) => bytes / MB / round[who]!.seconds));
  const ratio = (a: string, b: string) => median(rounds.map((round) => round[b]!.seconds / round[a]!.seconds));
  const cpu = (who: string) => median(rounds.map((round) => round[who]!.cpuSeconds));
  const peak = (client: Client) =>
    Math.max(...rounds.flatMap((round) => [round[`${client} pull`]!.peakRssMb, round[`${client} push`]!.peakRssMb]));
  const result: Record<string, number | string> = {
    files: `${files.length} of ${bytes / files.length / MB} MB`,
    cpMbPerSecond: speed("cp"),
    pullMbPerSecond: speed("vene pull"),
    jsSnapshotMbPerSecond: speed("js pull"),
    pullToJsSnapshot: ratio("vene pull", "js pull"),
    pullToCp: ratio("vene pull", "cp"),
    pullCpuSeconds: cpu("vene pull"),
    jsSnapshotCpuSeconds: cpu("js pull"),
  };
  if (name === "large") {
    result["jsFileMbPerSecond"] = speed("js-file pull");
    result["pullToJsFile"] = ratio("vene pull", "js-file pull");
  }
  return {
    ...result,
    pushMbPerSecond: speed("vene push"),
    jsPushMbPerSecond: speed("js push"),
    pushToJs: ratio("vene push", "js push"),
    pushCpuSeconds: cpu("vene push"),
    jsPushCpuSeconds: cpu("js push"),
    peakRssMb: peak("vene"),
    jsPeakRssMb: peak("js"),
  };
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(values.dir, "vene-bench-hub-"));
  const server = await hubServer(join(folder, "hub"));
  const sides: Record<string, HubSide> = {};
  try {
    const sets = await makeFiles(folder, Number(values.size));
    const results = [];
    for (const set of sets) {
      for (const client of set.clients) sides[`${set.name} ${client}`] = await hubSide(server, client);
      results.push(await measureSet({ folder, access: server, sides }, set));
    }
    if (values.json) process.stdout.write(`${JSON.stringify({ rounds: Number(values.rounds), results }, null, 2)}\n`);
    else for (const result of results) printTable(result);
  } finally {
    for (const started of Object.values(sides)) started.close();
    await server.close();
    await rm(folder, { recursive: true });
  }
}

if (values.help) process.stdout.write(`${help}\n`);
else await main();
