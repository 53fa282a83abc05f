/** How long names take to resolve and to find in large registries: node build/bench/registry.js [names] [versions] */

import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { initRegistry, publishIntervention, resolveIntervention, searchInterventions } from "../src/index.ts";

const [names = 1_000_000, versions = 10_000] = process.argv.slice(2).map(Number);
const scratch = mkdtempSync(join(tmpdir(), "vene-bench-"));
const registry = join(scratch, "registry");
const options = { registry, cacheFolder: join(scratch, "cache"), hub: { variables: { HOME: scratch } } };

function write(path: string, text: string): void {
  mkdirSync(dirname(join(registry, path)), { recursive: true });
  writeFileSync(join(registry, path), text);
}

/** One name with all its versions; the last is a real one. */
async function manyVersions(): Promise<void> {
  const honest = resolve("examples/truthful-tiny/honest");
  await publishIntervention(honest, { ...options, name: "lab/calm", version: `1.${versions}.0` });
  const path = "index/ca/lm/lab/calm.jsonl";
  const line = readFileSync(join(registry, path), "utf8");
  const rows = Array.from({ length: versions - 1 }, (_, n) => line.replace(`1.${versions}.0`, `1.${n + 1}.0`));
  write(path, [...rows, line].join(""));
}

const words = ["calm", "loud", "honest", "formal", "cheerful", "gloomy", "refusal", "french", "terse", "poetic"];
const letters = "abcdefghijklmnopqrstuvwxyz";

/** Rows of as many names as asked for, evenly over the shards that names of two letters make. */
function manyNames(): number {
  const row = JSON.parse(readFileSync(join(registry, "search/ca.jsonl"), "utf8"));
  const perShard = Math.ceil(names / letters.length ** 2);
  const shards: { path: string; size: number; sha256: string }[] = [];
  let made = 0;
  for (const first of letters) {
    for (const second of letters) {
      let text = "";
      for (let n = 0; n < perShard && made < names; n++, made++) {
        const word = words[made % words.length]!;
        const layers = 6 + (made % 40);
        const base = { ...row.base, model: `org/model-${made % 997}`, layers };
        const summary = `Makes it ${word}, number ${made}.`;
        text += `${JSON.stringify({ ...row, name: `lab/${first}${second}-${word}-${made}`, base, summary })}\n`;
      }
      const path = `search/${first}${second}.jsonl`;
      write(path, text);
      shards.push({ path, size: text.length, sha256: createHash("sha256").update(text).digest("hex") });
    }
  }
  write("search.json", JSON.stringify({ search: 1, shards }));
  return shards.reduce((sum, { size }) => sum + size, 0);
}

async function timed(what: string, work: () => Promise<unknown>): Promise<void> {
  const times: number[] = [];
  const before = process.cpuUsage();
  for (let run = 0; run < 7; run++) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  const sorted = times.slice(1).sort((a, b) => a - b);
  const median = (sorted[2]! + sorted[3]!) / 2;
  const { user, system } = process.cpuUsage(before);
  const cpu = ((user + system) / 1000 / times.length).toFixed(1);
  const memory = (process.memoryUsage().rss / 1e6).toFixed(0);
  process.stdout.write(
    `${what}: median ${median.toFixed(1)} ms, first ${times[0]!.toFixed(1)} ms, cpu ${cpu} ms, rss ${memory} MB\n`,
  );
}

try {
  await initRegistry({ ...options, name: "lab" });
  await manyVersions();
  await timed(`resolve lab/calm@^1 of ${versions} versions`, () => resolveIntervention("lab/calm@^1", options));
  await timed("resolve lab/calm@1.77.x, in the middle", () =>
    resolveIntervention("lab/calm@~1.77", options).catch(() => 0),
  );
  const bytes = manyNames();
  process.stdout.write(`${names} names, ${(bytes / 1e6).toFixed(0)} MB of rows\n`);
  await timed("search for one name among all", () => searchInterventions({ ...options, text: `number ${names - 3}.` }));
  await timed("search for a word that is nowhere", () => searchInterventions({ ...options, text: "nowhere-at-all" }));
  await timed("search for a common word, 50 results", () => searchInterventions({ ...options, text: "cheerful" }));
  await timed("search by base model, 50 results", () => searchInterventions({ ...options, base: "org/model-500" }));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
