/** The house rules that a machine can check: who imports whom, what a file looks like, what the package promises. */
import { describe, expect, test } from "@jest/globals";
import { expectGolden } from "./support/golden.ts";
import { importsOf, readRepositoryFile, resolveImport, type SourceFile, sourceFiles } from "./support/source-files.ts";

const floors: Readonly<Record<string, number>> = {
  base: 0,
  spec: 1,
  formats: 1,
  plots: 1,
  graph: 2,
  hub: 2,
  artefact: 2,
  arch: 3,
  interventions: 3,
  runtime: 4,
  experiments: 5,
  training: 5,
  registry: 5,
  server: 5,
  cli: 6,
};

const files = sourceFiles("src");

function roomOf(path: string): string | undefined {
  return path.includes("/") ? path.split("/")[0] : undefined;
}

/** What is wrong with one import of a file, or nothing. */
function importFault(from: string, specifier: string): string | undefined {
  if (specifier.startsWith("node:")) return undefined;
  const room = roomOf(from);
  if (!specifier.startsWith(".")) {
    if (specifier === "onnxruntime-node" && from !== "runtime/ort.ts") return "only runtime/ort.ts has onnxruntime";
    return room === "spec" && specifier !== "zod" ? "spec needs zod and nothing else" : undefined;
  }
  const target = resolveImport(from, specifier);
  if (room === "cli") return target === "index.ts" || roomOf(target) === "cli" ? undefined : "cli uses the public API";
  const other = roomOf(target);
  if (room === undefined) return other === "cli" ? "the public API does not use the command line" : undefined;
  if (other === undefined) return "a room does not use the public API";
  if (room === other) return undefined;
  if (room === "spec") return other === "base" ? undefined : "spec stands on base alone";
  return floors[other]! < floors[room]! ? undefined : `${other} is not below ${room}`;
}

function perFile(check: (file: SourceFile) => readonly string[]): readonly string[] {
  return files.flatMap((file) => check(file).map((fault) => `src/${file.path}: ${fault}`));
}

describe("imports", () => {
  test("the checker itself finds what is wrong", () => {
    expect(importFault("base/a.ts", "../spec/b.ts")).toBe("spec is not below base");
    expect(importFault("spec/a.ts", "../formats/b.ts")).toBe("spec stands on base alone");
    expect(importFault("graph/a.ts", "../artefact/b.ts")).toBe("artefact is not below graph");
    expect(importFault("runtime/intervenable/a.ts", "../../arch/b.ts")).toBeUndefined();
    expect(importFault("runtime/intervenable/a.ts", "../model.ts")).toBeUndefined();
    expect(importFault("cli/generate.ts", "../runtime/model.ts")).toBe("cli uses the public API");
    expect(importFault("cli/generate.ts", "../index.ts")).toBeUndefined();
    expect(importFault("runtime/model.ts", "onnxruntime-node")).toBe("only runtime/ort.ts has onnxruntime");
    const text =
      'import type {\n  A,\n} from "./a.ts";\nexport { b } from "./b.ts";\ntype C = import("c").C;\nimport "./d.ts";';
    expect(importsOf(text)).toEqual(["./a.ts", "./b.ts", "./d.ts", "c"]);
  });

  test("every room has a floor, and imports only from lower ones", () => {
    const rooms = new Set(files.flatMap(({ path }) => roomOf(path) ?? []));
    expect([...rooms].filter((room) => floors[room] === undefined)).toEqual([]);
    const faults = perFile(({ path, text }) =>
      importsOf(text).flatMap((specifier) => {
        const fault = importFault(path, specifier);
        return fault === undefined ? [] : [`${specifier}: ${fault}`];
      }),
    );
    expect(faults).toEqual([]);
    expect(files.flatMap(({ path, text }) => importsOf(text).map((to) => [path, to])).length).toBeGreaterThan(200);
  });

  test("every package that is imported is a dependency", () => {
    const { dependencies } = JSON.parse(readRepositoryFile("package.json"));
    const used = new Set(
      files.flatMap(({ text }) => importsOf(text)).filter((to) => !to.startsWith(".") && !to.startsWith("node:")),
    );
    const names = [...used].map((to) => /^(@[^/]+\/)?[^/]+/.exec(to)![0]);
    expect(names.filter((name) => dependencies[name] === undefined)).toEqual([]);
  });
});

describe("files", () => {
  test("open with a sentence that says what they are for", () => {
    const opening = /^(#![^\n]*\n)?\/\*\* \S/;
    expect(perFile(({ text }) => (opening.test(text) ? [] : [text.slice(0, 60)]))).toEqual([]);
  });

  test("are short, and no drawers for odds and ends", () => {
    const lengths = files.map(({ text }) => text.trimEnd().split("\n").length).sort((a, b) => a - b);
    expect(perFile(({ text }) => (text.trimEnd().split("\n").length > 400 ? ["more than 400 lines"] : []))).toEqual([]);
    expect(lengths[Math.floor(lengths.length / 2)]).toBeLessThanOrEqual(150);
    const drawer = /(^|\/)(utils?|common|helpers?|core|lib)(\/|\.ts$)/;
    expect(files.filter(({ path }) => drawer.test(path))).toEqual([]);
  });

  test("have named exports, no loose ends and do not print", () => {
    const refused: readonly (readonly [RegExp, string])[] = [
      [/^\s*export\s*\*/m, "export *"],
      [/^\s*export\s+default\b/m, "a default export"],
      [/\bas\s+default\b/, "a default export"],
      [/\b(TODO|FIXME|XXX)\b/, "a note to oneself"],
      [/^\s*(export\s+)?(const\s+)?enum\s/m, "an enum"],
      [/^\s*(export\s+)?namespace\s/m, "a namespace"],
    ];
    const faults = perFile(({ path, text }) => [
      ...refused.filter(([pattern]) => pattern.test(text)).map(([, name]) => name),
      ...(/\bconsole\.\w+\(/.test(text) && roomOf(path) !== "cli" ? ["console"] : []),
    ]);
    expect(faults).toEqual([]);
  });
});

describe("the package", () => {
  const manifest = JSON.parse(readRepositoryFile("package.json"));

  test("index.ts exports exactly what test/golden/exports.txt lists", () => {
    const index = files.find(({ path }) => path === "index.ts")!.text;
    const lines = [...index.matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, allTypes, list]) =>
      list!
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== "")
        .map((name) => (allTypes !== undefined && !name.startsWith("type ") ? `type ${name}` : name)),
    );
    expect(index.match(/^export /gm)!.length).toBe([...index.matchAll(/^export (type )?\{/gm)].length);
    const names = (line: string) => line.replace(/^type /, "");
    const sorted = lines.sort((a, b) => (names(a) < names(b) ? -1 : 1));
    expectGolden("test/golden/exports.txt", `${sorted.join("\n")}\n`);
  });

  test("has one entry, one command, and runs on Node 20", () => {
    expect(manifest).toMatchObject({
      name: "vene",
      type: "module",
      license: "Apache-2.0",
      sideEffects: false,
      engines: { node: ">=20.19" },
      bin: { vene: "./dist/cli/main.js" },
    });
    expect(manifest.exports).toEqual({
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./schemas/*": "./schemas/*",
      "./package.json": "./package.json",
    });
  });

  test("pins what it needs, and installs without running anyone's scripts", () => {
    const pinned = { ...manifest.dependencies, ...manifest.devDependencies, "@types/node": "20.0.0" };
    expect(Object.entries(pinned).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)))).toEqual([]);
    expect(readRepositoryFile(".npmrc")).toMatch(/^ignore-scripts=true$/m);
    expect(Object.values(manifest.allowScripts).every((allowed) => allowed === false)).toBe(true);
    expect(Object.keys(manifest.allowScripts)).toContain("onnxruntime-node");
    const hooks = ["preinstall", "install", "postinstall", "prepare", "prepublish", "preprepare", "postprepare"];
    expect(hooks.filter((hook) => hook in manifest.scripts)).toEqual([]);
  });

  test("the lock file agrees with the manifest", () => {
    const lock = JSON.parse(readRepositoryFile("package-lock.json"));
    expect(lock.packages[""].dependencies).toEqual(manifest.dependencies);
    const scripted = Object.entries<{ hasInstallScript?: boolean; optional?: boolean }>(lock.packages)
      .filter(([, entry]) => entry.hasInstallScript === true && entry.optional !== true)
      .map(([path]) => path.replace(/^.*node_modules\//, ""));
    expect(scripted.filter((name) => manifest.allowScripts[name] === undefined)).toEqual([]);
  });
});
