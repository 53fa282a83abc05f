import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { appended, emptyLog, entriesBetween, type LogRecord, readLogHead } from "../../src/registry/log.ts";
import type { Snapshot } from "../../src/registry/store.ts";

/** A registry's log in memory. */
class Memory implements Snapshot {
  readonly head = "";
  readonly notices: string[] = [];
  readonly files = new Map<string, Uint8Array>();

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.files.get(path);
  }

  async copy(): Promise<boolean> {
    return false;
  }

  async append(records: readonly LogRecord[]): Promise<void> {
    for (const [path, bytes] of await appended(this, await readLogHead(this), records)) this.files.set(path, bytes);
  }

  edit(change: (rows: string[]) => string[]): void {
    const rows = Buffer.from(this.files.get("log/000000.jsonl")!).toString().split("\n").slice(0, -1);
    this.files.set(
      "log/000000.jsonl",
      Buffer.from(
        change(rows)
          .map((row) => `${row}\n`)
          .join(""),
      ),
    );
  }
}

function record(n: number): LogRecord {
  return { op: "publish", ref: `lab/calm@1.0.${n}`, digest: `sha256:${"0".repeat(64)}`, at: "2026-11-23T06:00:00Z" };
}

async function logOf(count: number): Promise<Memory> {
  const memory = new Memory();
  for (let n = 1; n <= count; n++) await memory.append([record(n)]);
  return memory;
}

describe("the log", () => {
  test("is one chain however entries are grouped, across files, too", async () => {
    const memory = new Memory();
    await memory.append(Array.from({ length: 998 }, (_, n) => record(n + 1)));
    await memory.append([record(999), record(1000), record(1001)]);
    expect([...memory.files.keys()].sort()).toEqual(["log/000000.jsonl", "log/000001.jsonl", "log/head.json"]);
    const entries = await entriesBetween(memory, emptyLog, await readLogHead(memory));
    expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: 1001 }, (_, n) => n + 1));
    expect(entries.at(-1)!.ref).toBe("lab/calm@1.0.1001");
  });

  test("grouping makes no difference to a byte", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 }), async (sizes) => {
        const grouped = new Memory();
        let n = 0;
        for (const size of sizes) await grouped.append(Array.from({ length: size }, () => record(++n)));
        expect(grouped.files).toEqual((await logOf(n)).files);
      }),
      { numRuns: 30, seed: 1 },
    );
  });

  test("every change of any earlier entry is seen by who knows only a later head, or only the beginning", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 5 }),
        fc.constantFrom("edit", "drop", "swap", "copy"),
        async (at, how) => {
          const memory = await logOf(6);
          const head = await readLogHead(memory);
          memory.edit((rows) => {
            const other = (at + 1) % 6;
            if (how === "edit") return rows.map((row, i) => (i === at ? row.replace("lab/calm", "lab/loud") : row));
            if (how === "drop") return rows.filter((_, i) => i !== at);
            if (how === "copy") return rows.map((row, i) => (i === at ? rows[other]! : row));
            return rows.map((row, i) => (i === at ? rows[other]! : i === other ? rows[at]! : row));
          });
          await expect(entriesBetween(memory, emptyLog, head)).rejects.toMatchObject({ code: "registry-integrity" });
        },
      ),
      { numRuns: 60, seed: 2 },
    );
  });

  test("what lies beyond the head was never decided", async () => {
    const memory = await logOf(3);
    const head = memory.files.get("log/head.json")!;
    await memory.append([record(4)]);
    memory.files.set("log/head.json", head);
    await memory.append([record(5)]);
    const entries = await entriesBetween(memory, emptyLog, await readLogHead(memory));
    expect(entries.map(({ ref }) => ref)).toEqual([1, 2, 3, 5].map((n) => `lab/calm@1.0.${n}`));
  });

  test("who was there at one moment sees what came after", async () => {
    const memory = await logOf(2);
    const known = await readLogHead(memory);
    await memory.append([record(3)]);
    const entries = await entriesBetween(memory, known, await readLogHead(memory));
    expect(entries.map(({ seq }) => seq)).toEqual([3]);
    await expect(entriesBetween(memory, await readLogHead(memory), known)).rejects.toMatchObject({
      code: "registry-integrity",
      message: "the registry's log ends at entry 2; it once had 3",
    });
  });
});
