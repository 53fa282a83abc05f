import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { setAlias } from "../../src/registry/alias.ts";
import { checkRegistry } from "../../src/registry/check.ts";
import { FolderStore } from "../../src/registry/folder-store.ts";
import { initRegistry } from "../../src/registry/init.ts";
import { publishIntervention } from "../../src/registry/publish.ts";
import { resolveIntervention } from "../../src/registry/resolve.ts";
import { deprecateIntervention, unyankIntervention, yankIntervention } from "../../src/registry/withdraw.ts";
import { ann, bob, hub, reader } from "../server/places.ts";
import { artefact, emptyRegistry, type Machine, machine, publish, scratch, treeOf } from "./places.ts";

/** Eight new versions, one repeated, one with other bytes, all at once. */
async function tenAtOnce(to: (n: number) => Machine): Promise<PromiseSettledResult<unknown>[]> {
  await publish(to(0), "lab/calm", "1.0.0");
  const other = await artefact({ summary: "other bytes" });
  const versions = Array.from({ length: 8 }, (_, n) => `1.${n + 1}.0`);
  return Promise.allSettled([
    ...versions.map((version, n) => publish(to(n + 1), "lab/calm", version)),
    publish(to(9), "lab/calm", "1.0.0"),
    publishIntervention(other, { ...to(10), name: "lab/calm", version: "1.0.0" }),
  ]);
}

function expectAllThere(results: PromiseSettledResult<unknown>[]): void {
  const outcomes = results.map((result) => (result.status === "fulfilled" ? "done" : result.reason.code));
  expect(outcomes).toEqual([...Array.from({ length: 9 }, () => "done"), "registry-conflict"]);
}

describe("ten publishers at once lose nothing", () => {
  test("in a folder", async () => {
    const folder = await emptyRegistry();
    expectAllThere(await tenAtOnce(() => machine(folder)));
    const { faults, versions } = await checkRegistry(machine(folder));
    expect([faults, versions]).toEqual([[], 9]);
    expect((await resolveIntervention("lab/calm", machine(folder))).version).toBe("1.8.0");
    expect(Object.keys(treeOf(folder)).filter((path) => path.startsWith(".registry"))).toEqual([]);
  });

  test("on a Hub", async () => {
    const server = await hub();
    const dataset = "hf:datasets/ann/registry";
    const to = () => machine(dataset, { HF_ENDPOINT: server.url, HF_TOKEN: ann.token });
    await initRegistry({ ...to(), name: "lab" });
    expectAllThere(await tenAtOnce(to));
    const { faults, versions } = await checkRegistry(to());
    expect([faults, versions]).toEqual([[], 9]);
  });
});

describe("changes", () => {
  test("are logged, and repeating one changes nothing", async () => {
    const folder = await emptyRegistry();
    const to = machine(folder);
    await publish(to, "lab/calm", "1.0.0", { by: "ann" });
    await publish(to, "lab/calm", "0.9.0");
    await publish(to, "lab/calm", "1.1.0-rc.1");
    const ref = "lab/calm@1.0.0";
    const changes = [
      () => yankIntervention(ref, { ...to, reason: "sings", severity: "unsafe" }),
      () => unyankIntervention(ref, to),
      () => deprecateIntervention(ref, { ...to, message: "use 2" }),
      () => deprecateIntervention(ref, { ...to, message: null }),
      () => setAlias("lab/calm", "stable", "0.9.0", to),
      () => setAlias("lab/calm", "stable", null, to),
    ];
    for (const change of changes) expect([(await change()).changed, (await change()).changed]).toEqual([true, false]);
    const log = readFileSync(join(folder, "log/000000.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((row) => JSON.parse(row));
    expect(log.map(({ op, ref: about }) => `${op} ${about}`)).toEqual([
      "publish lab/calm@1.0.0",
      "alias lab/calm",
      "publish lab/calm@0.9.0",
      "publish lab/calm@1.1.0-rc.1",
      "yank lab/calm@1.0.0",
      "unyank lab/calm@1.0.0",
      "deprecate lab/calm@1.0.0",
      "deprecate lab/calm@1.0.0",
      "alias lab/calm",
      "alias lab/calm",
    ]);
    expect(log[0].by).toBe("ann");
    expect(log.at(-1)).toMatchObject({ alias: "stable", from: "0.9.0", to: null });
    expect((await checkRegistry(to)).faults).toEqual([]);
  });

  test.each([
    ["an alias for a withdrawn version", "registry-yanked", (to: Machine) => setAlias("lab/calm", "old", "1.0.0", to)],
    ["an alias for no version", "registry-missing", (to: Machine) => setAlias("lab/calm", "old", "7.0.0", to)],
    ["an alias that is a range", "registry-usage", (to: Machine) => setAlias("lab/calm", "x", "1.0.0", to)],
    ["an alias that is a version", "registry-usage", (to: Machine) => setAlias("lab/calm", "1.0.0", "1.0.0", to)],
    ["an alias to an alias", "registry-usage", (to: Machine) => setAlias("lab/calm", "old", "latest", to)],
    ["a range", "registry-usage", (to: Machine) => unyankIntervention("lab/calm@^1", to)],
    ["no reason", "registry-usage", (to: Machine) => yankIntervention("lab/calm@1.0.0", { ...to, reason: " " })],
    ["a tag with spaces", "registry-usage", (to: Machine) => publish(to, "lab/calm", "2.0.0", { tags: ["a b"] })],
    [
      "two registries",
      "registry-usage",
      (to: Machine) => unyankIntervention("lab/a@1.0.0", { ...to, registry: ["a", "b"] }),
    ],
    ["a second registry.json", "registry-conflict", (to: Machine) => initRegistry({ ...to, name: "lab" })],
    [
      "a registry called hf",
      "registry-usage",
      (to: Machine) => initRegistry({ ...machine(scratch()), ...to, name: "hf" }),
    ],
    ["no registry", "registry-missing", (to: Machine) => publish({ ...to, registry: scratch() }, "lab/calm", "1.0.0")],
  ])("%s is refused", async (_, code, change) => {
    const folder = await emptyRegistry();
    const to = machine(folder);
    await publish(to, "lab/calm", "1.0.0");
    await yankIntervention("lab/calm@1.0.0", { ...to, reason: "sings" });
    const before = treeOf(folder);
    await expect(change(to)).rejects.toMatchObject({ code });
    expect(treeOf(folder)).toEqual(before);
  });

  test("without write access can be proposed", async () => {
    const server = await hub();
    const owner = machine("hf:datasets/ann/registry", { HF_ENDPOINT: server.url, HF_TOKEN: ann.token });
    await initRegistry({ ...owner, name: "lab" });
    await publish(owner, "lab/calm", "1.0.0");
    const guest = { HF_ENDPOINT: server.url, HF_TOKEN: bob.token };
    const to = () => machine("hf:datasets/ann/registry", guest);
    await expect(publish(to(), "lab/calm", "1.1.0")).rejects.toMatchObject({
      code: "hub-unauthorized",
      hint: "without write access, propose the change as a pull request (--pr)",
    });
    const proposed = await publish(to(), "lab/calm", "1.1.0", { pullRequest: true });
    expect(proposed.pullRequestUrl).toMatch(/\/datasets\/ann\/registry\/discussions\/1$/);
    expect((await resolveIntervention("lab/calm", to())).version).toBe("1.0.0");
    const proposal = machine("hf:datasets/ann/registry@refs/pr/1", guest);
    expect((await resolveIntervention("lab/calm", proposal)).version).toBe("1.1.0");
    const { url } = server;
    await expect(
      publish(machine("hf:datasets/ann/registry", { HF_ENDPOINT: url, HF_TOKEN: reader.token }), "lab/a", "1.0.0"),
    ).rejects.toMatchObject({ code: "hub-unauthorized" });
  });
});

/**
 * A copy of the folder as it is when a writer dies at a step; undefined where it is done before. The lock in it names our own
 * process, which is what a lock of a dead namesake does.
 */
async function diedAt(step: number, folder: string, write: () => Promise<unknown>): Promise<string | undefined> {
  const original = FolderStore.prototype.commit;
  let at = 0;
  let image: string | undefined;
  const died = new Promise<void>((resolve) => {
    const store = new FolderStore(folder, () => {
      if (at++ < step) return undefined;
      image = scratch();
      cpSync(folder, image, { recursive: true });
      resolve();
      return new Promise<void>(() => undefined);
    });
    FolderStore.prototype.commit = (commit) => original.call(store, commit);
  });
  await Promise.race([died, write()]);
  FolderStore.prototype.commit = original;
  return image;
}

describe("a writer that dies at any step", () => {
  const ways = {
    publish: (to: Machine) => publish(to, "lab/calm", "1.1.0"),
    yank: (to: Machine) => yankIntervention("lab/calm@1.0.0", { ...to, reason: "sings", at: "2026-11-23T06:00:00Z" }),
    alias: (to: Machine) => setAlias("lab/calm", "old", "1.0.0", { ...to, at: "2026-11-23T06:00:00Z" }),
  };

  test.each(Object.entries(ways))(
    "%s: the registry is as it was or as it should be, and the next writer mends it",
    async (_, write) => {
      const before = await emptyRegistry();
      await publish(machine(before), "lab/calm", "1.0.0");
      const after = scratch();
      cpSync(before, after, { recursive: true });
      await write(machine(after));
      const due = treeOf(after);
      const outcomes: boolean[] = [];
      for (let step = 0; ; step++) {
        const folder = scratch();
        cpSync(before, folder, { recursive: true });
        const image = await diedAt(step, folder, () => write(machine(folder)));
        if (image === undefined) break;
        // What can be read of it now hangs together: what is named is there.
        await resolveIntervention("lab/calm@^1", machine(image)).catch((thrown) => {
          expect(thrown.code).toBe("registry-yanked");
        });
        const tree = treeOf(image);
        const path = Object.keys(due).find((one) => one.startsWith("log/0"))!;
        outcomes.push(tree[path] === due[path]);
        expect(readFileSync(join(image, ".registry-lock"), "utf8")).toContain(`"pid":${process.pid},`);
        await write(machine(image));
        expect(treeOf(image)).toEqual(due);
      }
      expect(outcomes.length).toBeGreaterThanOrEqual(8);
      expect([outcomes[0], outcomes.at(-1)]).toEqual([false, true]);
    },
  );
});

describe("the lock of a folder", () => {
  test("of a dead process is taken over, of a living one waited for until the caller gives up", async () => {
    const folder = await emptyRegistry();
    const lock = join(folder, ".registry-lock");
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    writeFileSync(lock, JSON.stringify({ pid: dead, host: hostname(), token: "x" }));
    await publish(machine(folder), "lab/calm", "1.0.0");
    expect(existsSync(lock)).toBe(false);
    writeFileSync(lock, JSON.stringify({ pid: 1, host: "elsewhere", token: "x" }));
    const signal = AbortSignal.timeout(200);
    await expect(publish({ ...machine(folder), signal } as Machine, "lab/calm", "1.1.0")).rejects.toMatchObject({
      code: "aborted",
    });
    expect(existsSync(lock)).toBe(true);
  });
});
