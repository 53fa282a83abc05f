/** What registries and those between may do to us, by the numbers of the checklist (49 to 57). */
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { setAlias } from "../../src/registry/alias.ts";
import { checkRegistry } from "../../src/registry/check.ts";
import { IndexFile } from "../../src/registry/index-file.ts";
import { initRegistry } from "../../src/registry/init.ts";
import { installIntervention } from "../../src/registry/install-named.ts";
import { publishIntervention } from "../../src/registry/publish.ts";
import { resolveIntervention } from "../../src/registry/resolve.ts";
import { searchInterventions } from "../../src/registry/search.ts";
import { yankIntervention } from "../../src/registry/withdraw.ts";
import { ann, ask, hub } from "../server/places.ts";
import { artefact, emptyRegistry, machine, publish, scratch, serve, treeOf } from "./places.ts";

const indexOf = (folder: string) => join(folder, "index/ca/lm/lab/calm.jsonl");
const logOf = (folder: string) => join(folder, "log/000000.jsonl");
const headOf = (folder: string) => join(folder, "log/head.json");

function edit(path: string, change: (text: string) => string): void {
  writeFileSync(path, change(readFileSync(path, "utf8")));
}

async function calm(...versions: string[]): Promise<string> {
  const folder = await emptyRegistry("lab", "lab");
  for (const version of versions) await publish(machine(folder), "lab/calm", version);
  return folder;
}

const noLock = { lockfile: null };

describe("49: the same version with another digest", () => {
  test("is refused when published", async () => {
    const folder = await calm("1.0.0");
    const other = await artefact({ summary: "other" });
    const before = treeOf(folder);
    await expect(
      publishIntervention(other, { ...machine(folder), name: "lab/calm", version: "1.0.0" }),
    ).rejects.toMatchObject({
      code: "registry-conflict",
      message: expect.stringMatching(/^lab\/calm@1\.0\.0 exists as sha256:[0-9a-f]{64}; this would be sha256:/),
    });
    expect(treeOf(folder)).toEqual(before);
  });

  test("is refused by who has locked it, and two lines are refused by everybody", async () => {
    const folder = await calm("1.0.0");
    const from = { ...machine(folder), lockfile: join(scratch(), "lock.json") };
    await installIntervention("calm", from);
    const other = await calm("1.0.0");
    const impostor = await emptyRegistry("lab", "lab");
    await publishIntervention(await artefact({ summary: "other" }), {
      ...machine(impostor),
      name: "lab/calm",
      version: "1.0.0",
    });
    cpSync(join(impostor, "index"), join(folder, "index"), { recursive: true });
    cpSync(join(impostor, "manifests"), join(folder, "manifests"), { recursive: true });
    await expect(installIntervention("calm", from)).rejects.toMatchObject({
      code: "registry-integrity",
      message: expect.stringMatching(/the lockfile says sha256:/),
    });
    appendFileSync(indexOf(folder), readFileSync(indexOf(other)));
    await expect(resolveIntervention("lab/calm", machine(folder))).rejects.toMatchObject({
      code: "registry-integrity",
      message: expect.stringMatching(/line 2: lab\/calm has two lines for 1\.0\.0$/),
    });
  });

  test("an index cannot pass a release off as another version, nor under another name", async () => {
    const folder = await calm("1.0.0");
    edit(indexOf(folder), (text) => text.replace('"version":"1.0.0"', '"version":"9.0.0"'));
    await expect(resolveIntervention("lab/calm@^9", machine(folder))).rejects.toMatchObject({
      code: "registry-integrity",
      message: "the index passes lab/calm@1.0.0 off as lab/calm@9.0.0",
    });
    mkdirSync(join(folder, "index/ev/il/lab"), { recursive: true });
    writeFileSync(join(folder, "index/ev/il/lab/evil.jsonl"), readFileSync(indexOf(folder)));
    await expect(resolveIntervention("lab/evil", machine(folder))).rejects.toMatchObject({ code: "registry-invalid" });
  });
});

describe("50: a log that is shortened, forked, reordered", () => {
  /** Somebody has seen the registry with two versions; then it changes. */
  async function seenThen(change: (folder: string, earlier: string) => void | Promise<void>): Promise<unknown> {
    const folder = await calm("1.0.0");
    const earlier = scratch();
    cpSync(folder, earlier, { recursive: true });
    await publish(machine(folder), "lab/calm", "1.1.0");
    const from = machine(folder);
    await resolveIntervention("calm", from);
    await change(folder, earlier);
    return resolveIntervention("calm", from);
  }

  test("put back to an earlier state", async () => {
    const rolled = seenThen((folder, earlier) => {
      rmSync(folder, { recursive: true });
      cpSync(earlier, folder, { recursive: true });
    });
    await expect(rolled).rejects.toMatchObject({
      code: "registry-integrity",
      message: expect.stringMatching(/log ends at entry 2; it once had 4$/),
    });
  });

  test("forked: as long as before, and longer", async () => {
    for (const versions of [["1.1.1"], ["1.1.1", "1.1.2"]]) {
      const forked = seenThen(async (folder, earlier) => {
        for (const version of versions) await publish(machine(earlier), "lab/calm", version);
        rmSync(folder, { recursive: true });
        cpSync(earlier, folder, { recursive: true });
      });
      await expect(forked).rejects.toMatchObject({ code: "registry-integrity" });
    }
  });

  test("reordered, edited, cut, with a head that lies", async () => {
    const changes = [
      (rows: string[]) => [rows[1]!, rows[0]!, ...rows.slice(2)],
      (rows: string[]) => rows.map((row) => row.replace("lab/calm", "lab/loud")),
      (rows: string[]) => rows.slice(0, 3),
    ];
    for (const change of changes) {
      const folder = await calm("1.0.0", "1.1.0");
      edit(logOf(folder), (text) => `${change(text.trimEnd().split("\n")).join("\n")}\n`);
      const { faults } = await checkRegistry(machine(folder));
      expect(faults[0]).toMatch(/^the registry's log /);
    }
    const folder = await calm("1.0.0");
    const from = machine(folder);
    await resolveIntervention("calm", from);
    edit(headOf(folder), (text) => text.replace('"seq": 2', '"seq": 3'));
    await expect(resolveIntervention("calm", from)).rejects.toMatchObject({ code: "registry-integrity" });
  });

  test("another registry at the same place", async () => {
    const replaced = seenThen(async (folder) => {
      rmSync(folder, { recursive: true });
      cpSync(await calm("1.0.0", "1.1.0"), folder, { recursive: true });
    });
    await expect(replaced).rejects.toMatchObject({
      code: "registry-integrity",
      message: expect.stringMatching(/ is the registry \S+; it was \S+ before$/),
    });
  });
});

describe("51: aliases", () => {
  test("to a withdrawn version, to no version, to an alias, and one that reads as a range", async () => {
    const folder = await calm("1.0.0", "1.1.0");
    await setAlias("lab/calm", "old", "1.0.0", machine(folder));
    await yankIntervention("lab/calm@1.0.0", { ...machine(folder), reason: "sings" });
    await expect(resolveIntervention("calm@old", machine(folder))).rejects.toMatchObject({ code: "registry-yanked" });
    const path = join(folder, "aliases/ca/lm/lab/calm.json");
    const cases: [aliases: object, code: string][] = [
      [{ latest: "7.0.0" }, "registry-invalid"],
      [{ latest: "latest" }, "registry-invalid"],
      [{ latest: "old", old: "latest" }, "registry-invalid"],
      [{ x: "1.0.0" }, "registry-invalid"],
      [{ "1.0.0": "1.1.0" }, "registry-invalid"],
      [{ latest: ["1.0.0"] }, "registry-invalid"],
    ];
    for (const [aliases, code] of cases) {
      writeFileSync(path, JSON.stringify(aliases));
      await expect(resolveIntervention("calm", machine(folder))).rejects.toMatchObject({ code });
    }
  });
});

describe("52: names", () => {
  test.each(["lab/c-alm", "lab/ca.lm", "lab/c_a_l_m", "l-ab/calm"])("%s looks like lab/calm", async (name) => {
    const folder = await calm("1.0.0");
    await expect(publish(machine(folder), name, "1.0.0")).rejects.toMatchObject({
      code: "registry-conflict",
      message: `${name} looks like lab/calm, which exists`,
    });
  });

  test("case twins, other alphabets and devices are no names; one letter off is told", async () => {
    const folder = await calm("1.0.0");
    for (const name of ["lab/Calm", "LAB/calm", "lab/cаlm", "lab/con", "nul/calm", "lab/a--b"]) {
      await expect(publish(machine(folder), name, "1.0.0")).rejects.toMatchObject({ code: "registry-usage" });
    }
    const { notices } = await publish(machine(folder), "lab/calms", "1.0.0");
    expect(notices).toEqual(["lab/calms differs from lab/calm in one character"]);
  });

  test("a namespace belongs to the registry where it was first seen", async () => {
    const [first, second] = [await calm("1.0.0"), await calm("9.0.0")];
    const from = machine([first]);
    await resolveIntervention("lab/calm", from);
    const both = { ...from, registry: [`evil=${second}`, `lab=${first}`] };
    await expect(resolveIntervention("lab/calm", both)).rejects.toMatchObject({
      code: "registry-integrity",
      message: expect.stringMatching(/belongs to the registry .* on this machine$/),
    });
    // Who names it means it.
    expect((await resolveIntervention("evil:lab/calm", both)).version).toBe("9.0.0");
    expect((await resolveIntervention("lab:lab/calm", both)).version).toBe("1.0.0");
    expect((await resolveIntervention("lab/calm", { ...both, registry: [first, second] })).version).toBe("1.0.0");
    await expect(resolveIntervention("nobody:lab/calm", both)).rejects.toMatchObject({ code: "registry-missing" });
  });
});

describe("53: lines", () => {
  test("of a newer kind are passed over with one notice, and survive a change", async () => {
    const folder = await calm("1.0.0");
    appendFileSync(indexOf(folder), '{"v":2,"name":"lab/calm","version":"5.0.0","shape":"unknown"}\n');
    appendFileSync(indexOf(folder), '{"v":3}\n');
    const { version, notices } = await resolveIntervention("lab/calm@*", machine(folder));
    expect([version, ...notices]).toEqual([
      "1.0.0",
      "index/ca/lm/lab/calm.jsonl has 2 lines for newer versions of vene, which were ignored",
    ]);
    await publish(machine(folder), "lab/calm", "1.1.0");
    expect(readFileSync(indexOf(folder), "utf8")).toContain('{"v":3}\n');
  });

  test("with unknown fields are read, and keep them", async () => {
    const folder = await calm("1.0.0");
    edit(indexOf(folder), (text) => text.replace('"yanked":null', '"yanked":null,"mirror":{"a":[1]}'));
    expect((await resolveIntervention("lab/calm", machine(folder))).version).toBe("1.0.0");
    await yankIntervention("lab/calm@1.0.0", { ...machine(folder), reason: "sings" });
    expect(readFileSync(indexOf(folder), "utf8")).toContain('"mirror":{"a":[1]}');
  });

  test("half of one at the end is passed over", async () => {
    const folder = await calm("1.0.0", "1.1.0");
    edit(indexOf(folder), (text) => text.slice(0, -100));
    const { version, notices } = await resolveIntervention("lab/calm@*", machine(folder));
    expect([version, notices.length]).toEqual(["1.0.0", 1]);
    expect(notices[0]).toMatch(/ends in half a line of \d+ characters, which was ignored$/);
  });

  test.each([
    ["merge conflict", "<<<<<<< HEAD\n"],
    ["no JSON", "{]\n"],
    ["deep", `${"[".repeat(100_000)}\n`],
    ["a key twice", '{"v":1,"v":1}\n'],
    ["a prototype", '{"v":1,"__proto__":{"name":"lab/calm"}}\n'],
    ["no object", "7\n"],
  ])("%s is an error", async (_, line) => {
    const folder = await calm("1.0.0");
    appendFileSync(indexOf(folder), line);
    await expect(resolveIntervention("lab/calm", machine(folder))).rejects.toMatchObject({
      code: "registry-invalid",
      message: expect.stringMatching(/index\/ca\/lm\/lab\/calm\.jsonl, line 2/),
    });
  });

  test.each(["registry.json", "log/head.json", "aliases/ca/lm/lab/calm.json"])(
    "a damaged %s is an error",
    async (path) => {
      for (const text of ["", "null", "<html>", '{"registry":2}', "\ufeff{}"]) {
        const folder = await calm("1.0.0");
        writeFileSync(join(folder, path), text);
        await expect(resolveIntervention("lab/calm", machine(folder))).rejects.toMatchObject({
          code: "registry-invalid",
        });
      }
    },
  );
});

describe("54: sizes", () => {
  test("of ten thousand versions only the lines in question are parsed", async () => {
    const folder = await calm("1.0.0");
    const line = readFileSync(indexOf(folder), "utf8").trimEnd();
    const broken = (n: number) => `${line.slice(0, 45).replace("1.0.0", `0.0.${n}`)}, broken`;
    expect(line.slice(0, 45)).toContain('"version":"1.0.0"');
    const rows = Array.from({ length: 10_000 }, (_, n) => broken(n + 1));
    writeFileSync(indexOf(folder), `${[...rows, line].join("\n")}\n`);
    expect((await resolveIntervention("lab/calm@^1", machine(folder))).version).toBe("1.0.0");
    await expect(resolveIntervention("lab/calm@0.0.77", machine(folder))).rejects.toMatchObject({
      code: "registry-invalid",
    });
  });

  test("an index that is too large is not read", async () => {
    const web = await serve(await calm("1.0.0"));
    const { name } = new IndexFile("lab/calm", "");
    expect(name).toBe("lab/calm");
    const folder = await calm("1.0.0");
    writeFileSync(join(folder, "registry.json"), " ".repeat(2_000_000));
    await expect(resolveIntervention("calm", machine(folder))).rejects.toMatchObject({ code: "file-unreadable" });
    writeFileSync(join(folder, "registry.json"), " ".repeat(2_000_000));
    const large = await serve(folder);
    await expect(resolveIntervention("calm", machine(large.url))).rejects.toMatchObject({ code: "registry-invalid" });
    expect((await resolveIntervention("calm", machine(web.url))).version).toBe("1.0.0");
  });

  test("a search stops when it has enough", async () => {
    const folder = await emptyRegistry();
    for (const name of ["lab/aa", "lab/bb", "lab/cc"]) await publish(machine(folder), name, "1.0.0");
    writeFileSync(join(folder, "search/cc.jsonl"), "broken\n");
    const { found, more } = await searchInterventions({ ...machine(folder), limit: 1 });
    expect([found.map(({ name }) => name), more]).toEqual([["lab/aa"], true]);
    await expect(searchInterventions({ ...machine(folder), limit: 5 })).rejects.toMatchObject({
      code: "registry-invalid",
    });
  });
});

describe("56: dependencies", () => {
  test("do not exist: a release that names some is refused, so there are neither cycles nor diamonds", async () => {
    const folder = await calm("1.0.0");
    const { sha256Of } = await import("../../src/base/digest.ts");
    const { digest } = await resolveIntervention("calm", machine(folder));
    const path = (hex: string) => join(folder, "manifests/sha256", hex.slice(0, 2), `${hex}.json`);
    const text = readFileSync(path(digest.slice(7)), "utf8").replace("{", '{"deps":[{"name":"lab/calm","req":"^1"}],');
    mkdirSync(join(path(sha256Of(text)), ".."), { recursive: true });
    writeFileSync(path(sha256Of(text)), text);
    edit(indexOf(folder), (rows) => rows.replace(digest, `sha256:${sha256Of(text)}`));
    await expect(resolveIntervention("calm", machine(folder))).rejects.toMatchObject({
      code: "registry-invalid",
      message: expect.stringMatching(/unrecognized key: "deps"$/),
    });
  });
});

describe("57: sources that are gone", () => {
  /** A release whose files are in a repository on a Hub, on a web server and in the registry itself. */
  async function manyHomes() {
    const server = await hub();
    const env = { HF_ENDPOINT: server.url, HF_TOKEN: ann.token };
    const folder = await artefact({ summary: "with homes" });
    const web = await serve(folder);
    const { pushArtefact } = await import("../../src/runtime/push-artefact.ts");
    const pushed = await pushArtefact(folder, "ann/calm", { hub: { variables: { HOME: "/nowhere", ...env } } });
    // What was pushed is what is published: the card is rendered by whoever writes.
    const pulled = await installIntervention(`hf:ann/calm@${pushed.commit}`, { ...machine([], env), ...noLock });
    cpSync(pulled.folder, folder, { recursive: true, dereference: true });
    rmSync(join(folder, "config.json"), { force: true });
    const registry = await emptyRegistry("lab", "lab");
    const hf = { type: "hf", repo: "ann/calm", revision: pushed.commit } as const;
    const sources = [hf, { type: "https", url: web.url } as const];
    await publishIntervention(folder, {
      ...machine(registry, env),
      name: "lab/calm",
      version: "1.0.0",
      sources,
      store: true,
    });
    edit(indexOf(registry), (text) => {
      const line = JSON.parse(text);
      const unknown = { type: "torrent", magnet: "x" };
      return `${JSON.stringify({ ...line, sources: [unknown, ...line.sources.slice(1), line.sources[0]] })}\n`;
    });
    return { server, env, web, registry };
  }

  const sourceOf = (lockfile: string) =>
    Object.values<{ source: string }>(JSON.parse(readFileSync(lockfile, "utf8")).interventions)[0]!.source;

  test("the next one is taken; with none left the error says what was tried", async () => {
    const { server, env, web, registry } = await manyHomes();
    const install = async () => {
      const lockfile = join(scratch(), "lock.json");
      const { files } = await installIntervention("calm", { ...machine(registry, env), lockfile });
      expect(files).toHaveLength(3);
      return sourceOf(lockfile);
    };
    expect(await install()).toMatch(/^hf:ann\/calm@[0-9a-f]{40}$/);
    const removed = await ask(`${server.url}/api/repos/delete`, {
      method: "DELETE",
      token: ann.token,
      body: { name: "calm", organization: "ann", type: "model" },
    });
    expect(removed.status).toBe(200);
    expect(await install()).toBe(web.url);
    web.stop();
    expect(await install()).toBe("blob");
    rmSync(join(registry, "blobs"), { recursive: true });
    await expect(install()).rejects.toMatchObject({
      code: "registry-missing",
      message: expect.stringMatching(/^no source has lab\/calm@1\.0\.0: hf:ann\/calm@.*; http:.*; blob: blob has no /),
    });
  });

  test("one that has other bytes is passed over, and named when it is the last", async () => {
    const folder = await calm("1.0.0");
    const { release } = await resolveIntervention("calm", machine(folder));
    const { sha256 } = release.files.find(({ path }) => path === "intervention.safetensors")!;
    const blob = join(folder, "blobs/sha256", sha256.slice(0, 2), sha256);
    const bytes = readFileSync(blob);
    bytes[bytes.length - 1] = bytes[bytes.length - 1]! ^ 1;
    for (const damaged of [bytes, bytes.subarray(1), Buffer.concat([bytes, bytes])]) {
      writeFileSync(blob, damaged);
      const web = await serve(folder);
      for (const registry of [folder, web.url]) {
        const from = machine(registry);
        await expect(installIntervention("calm", { ...from, ...noLock })).rejects.toMatchObject({
          code: "registry-integrity",
        });
        expect(Object.keys(treeOf(from.cacheFolder)).filter((path) => path.includes("safetensors"))).toEqual([]);
      }
    }
  });

  test("a source that does not have the files is not published", async () => {
    const folder = await artefact();
    const empty = await serve(scratch());
    const to = machine(await emptyRegistry());
    const sources = [{ type: "https", url: empty.url } as const];
    await expect(
      publishIntervention(folder, { ...to, name: "lab/calm", version: "1.0.0", sources }),
    ).rejects.toMatchObject({
      code: "registry-missing",
    });
    const other = await serve(await artefact({ summary: "other" }));
    const wrong = [{ type: "https", url: other.url } as const];
    await expect(
      publishIntervention(folder, { ...to, name: "lab/calm", version: "1.0.0", sources: wrong }),
    ).rejects.toMatchObject({ code: "hub-integrity" });
    expect((await checkRegistry(to)).versions).toBe(0);
  });
});

test("a registry can be made under any name but those that mean something else", async () => {
  for (const name of ["hf", "file", "registry", "https", "a", "A B"]) {
    await expect(initRegistry({ ...machine(scratch()), name })).rejects.toMatchObject({ code: "registry-usage" });
  }
});
