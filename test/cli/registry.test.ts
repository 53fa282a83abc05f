import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { honest, scratch, tiny, vene, veneJson } from "./terminal.ts";

/** A registry with one version, made by the commands themselves. */
async function made(): Promise<{ folder: string; env: Record<string, string> }> {
  const folder = join(scratch(), "registry");
  const env = { VENE_CACHE: scratch(), HOME: "/nowhere", VENE_REGISTRY: folder };
  expect((await vene(["registry", "init", folder, "--name", "lab", "--namespace", "lab"], { env })).code).toBe(0);
  const out = await vene(["publish", honest, "lab/honest@1.0.0", "--tag", "demo", "--by", "ann"], { env });
  expect([out.code, out.err]).toEqual([0, ""]);
  return { folder, env };
}

describe("a registry by commands", () => {
  test("publish, search, info, resolve, install, yank, alias", async () => {
    const { env } = await made();
    const again = await vene(["publish", honest, "lab/honest@1.0.0", "--tag", "demo"], { env });
    expect(again.out).toMatch(/^already there: +lab\/honest@1\.0\.0$/m);
    const found = await vene(["search", "truthfully", "--arch", "llama", "--kind", "addition"], { env });
    expect(found.out).toMatch(/^lab\/honest +1\.0\.0 +truthful-tiny +addition +apache-2\.0 +\d+ +Makes the plain/m);
    expect((await vene(["search", "absent"], { env })).out).toBe("none\n");
    const info = await vene(["info", "honest"], { env });
    expect(info.out).toMatch(/^published: +\S+Z by ann$/m);
    const resolved = await veneJson(["resolve", "honest@^1"], { env });
    expect(resolved.json).toMatchObject({ name: "lab/honest", version: "1.0.0", seq: 2 });
    expect((await vene(["resolve", "lab:lab/honest@latest"], { env })).out).toBe(`${resolved.json.pinned}\n`);

    const lockfile = join(scratch(), "lock.json");
    const installed = await veneJson(["install", "honest@^1", "--lockfile", lockfile], { env });
    const [one] = installed.json.installed;
    expect(one).toMatchObject({ name: "honest@^1", pinned: resolved.json.pinned });
    expect(readFileSync(join(one.folder, "intervention.safetensors"))).toEqual(
      readFileSync(join(honest, "intervention.safetensors")),
    );
    expect(JSON.parse(readFileSync(lockfile, "utf8")).interventions["honest@^1"].digest).toBe(resolved.json.digest);

    const yanked = await vene(["yank", "lab/honest@1.0.0", "--reason", "for a test"], { env });
    expect(yanked.out).toBe("withdrawn: lab/honest@1.0.0\n");
    expect((await veneJson(["resolve", "honest@^1"], { env })).json.error.code).toBe("registry-yanked");
    const locked = await vene(["install", "--frozen", "--lockfile", lockfile], { env });
    expect([locked.code, locked.err]).toEqual([0, "notice: lab/honest@1.0.0 was withdrawn: for a test (broken)\n"]);
    expect((await vene(["unyank", "lab/honest@1.0.0"], { env })).out).toBe("given back: lab/honest@1.0.0\n");
    expect((await vene(["unyank", "lab/honest@1.0.0"], { env })).out).toBe("nothing to change\n");
    const deprecated = await vene(["deprecate", "lab/honest@1.0.0", "--message", "use 2"], { env });
    expect(deprecated.out).toBe("deprecated: lab/honest@1.0.0\n");
    expect((await vene(["alias", "lab/honest", "stable", "1.0.0"], { env })).out).toBe("lab/honest@stable is 1.0.0\n");
    const stable = await vene(["resolve", "honest@stable"], { env });
    expect(stable.err).toBe("notice: lab/honest@1.0.0 is deprecated: use 2\n");
    expect((await vene(["alias", "lab/honest", "stable", "--remove"], { env })).out).toBe(
      "lab/honest@stable is gone\n",
    );
    expect((await vene(["registry", "check"], { env })).out).toBe("1 names, 1 versions, 9 blobs: well\n");
  });

  test("check says what is wrong", async () => {
    const { folder, env } = await made();
    const { json } = await veneJson(["resolve", "honest"], { env });
    const path = join(folder, "manifests/sha256", json.digest.slice(7, 9), `${json.digest.slice(7)}.json`);
    writeFileSync(path, readFileSync(path, "utf8").replace("truthfully", "falsely"));
    const checked = await vene(["registry", "check", folder], { env });
    expect(checked.code).toBe(1);
    expect(checked.out).toMatch(/^a release has the digest sha256:[0-9a-f]{64}, expected sha256:/);
    expect((await veneJson(["info", "honest"], { env })).json.error.code).toBe("registry-integrity");
  });

  test("generate takes a name, and says what it was pinned to", async () => {
    const { env } = await made();
    const argv = ["generate", "--model", tiny, "--intervention", "honest@1", "--max-new-tokens", "8"];
    const { json } = await veneJson([...argv, "Q: Which is larger, 27 or 7? A:"], { env });
    expect([json.plain.text, json.steered.text]).toEqual([" 7.", " 27."]);
    expect(json.intervention.pinned).toMatch(/^lab\/honest@sha256:[0-9a-f]{64}$/);
  });

  test.each([
    [["publish", honest, "lab/honest"], "usage"],
    [["publish", honest, "lab/honest@1.0.0", "--source", "ftp://x"], "usage"],
    [["publish", honest, "Lab/honest@1.0.0"], "registry-usage"],
    [["publish", honest, "lab/honest@1"], "registry-usage"],
    [["alias", "lab/honest", "stable"], "usage"],
    [["deprecate", "lab/honest@1.0.0"], "usage"],
    [["yank", "lab/honest", "--reason", "x"], "registry-usage"],
    [["yank", "lab/honest@9.9.9", "--reason", "x"], "registry-missing"],
    [["resolve", "lab/none"], "registry-missing"],
    [["info", "no name"], "registry-usage"],
    [["install", "lab/honest@^1", "--frozen", "--no-lock"], "registry-usage"],
  ])("%j fails with %s", async (argv, code) => {
    const folder = join(scratch(), "registry");
    const env = { VENE_CACHE: scratch(), HOME: "/nowhere", VENE_REGISTRY: folder };
    await vene(["registry", "init", folder, "--name", "lab"], { env });
    expect((await veneJson(argv, { env })).json.error.code).toBe(code);
    expect(existsSync(join(folder, "log"))).toBe(false);
  });
});
