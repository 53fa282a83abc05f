import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { aliasesPath, indexPath, lookAlike, shardPath } from "../../src/registry/names.ts";
import { looksLikeName, parseReference } from "../../src/registry/reference.ts";
import { releaseNameSchema } from "../../src/spec/registry-names.ts";

const digest = `sha256:${"ab".repeat(32)}`;

describe("references", () => {
  test.each([
    ["lab/calm", { name: "lab/calm", registry: undefined, explicit: false, selector: { kind: "newest" } }],
    ["honest-smollm2@^1.2", { name: "honest-smollm2", selector: { kind: "range", text: "^1.2" } }],
    ["lab/calm@1.2.0", { selector: { kind: "version", version: "1.2.0" } }],
    ["lab/calm@2.0.0-beta.1", { selector: { kind: "version", version: "2.0.0-beta.1" } }],
    ["lab/calm@1.2", { selector: { kind: "range", text: "1.2" } }],
    ["lab/calm@>=1 <2", { selector: { kind: "range", text: ">=1 <2" } }],
    ["lab/calm@stable", { selector: { kind: "alias", alias: "stable" } }],
    ["lab/calm@v1", { selector: { kind: "alias", alias: "v1" } }],
    ["lab/calm@x", { selector: { kind: "range", text: "x" } }],
    [`lab/calm@${digest}`, { selector: { kind: "digest", digest } }],
    ["vene:lab/calm@1.x", { registry: "vene", name: "lab/calm", explicit: true }],
    ["registry:lab/calm", { registry: undefined, name: "lab/calm", explicit: true }],
  ])("%s is a name", (text, parts) => {
    expect(parseReference(text)).toMatchObject({ form: "name", ...parts });
    expect(looksLikeName(text)).toBe(true);
  });

  test.each([
    ["hf:org/Repo@v1#sub/folder", { form: "hf", repo: "org/Repo@v1", folder: "sub/folder" }],
    ["hf:org/repo", { form: "hf", repo: "org/repo", folder: undefined }],
    ["file:./here", { form: "file", path: "./here" }],
    ["file:///tmp/x", { form: "file", path: "/tmp/x" }],
    [`https://a.example/b.tgz#${digest}`, { form: "https", url: "https://a.example/b.tgz", sha256: "ab".repeat(32) }],
  ])("%s is direct", (text, parts) => expect(parseReference(text)).toEqual(parts));

  test.each([
    "",
    "Lab/calm",
    "lab/calm/more",
    "lab/calm@",
    "lab/calm@1..2",
    "lab/calm@LATEST",
    "lab/calm@sha256:abc",
    "lab/calm@1.0.0@2.0.0",
    "../calm",
    "lab/..",
    "lab/con",
    "aux/calm",
    "lab/nul.txt",
    "lab/a--b",
    "lab/a..b",
    "lab/-a",
    "lab/a.",
    `lab/${"a".repeat(65)}`,
    "läb/calm",
    "lab/cаlm", // with a Cyrillic а
    "lab/calm\n",
    "hf:",
    "hf:org/repo#../x",
    "file:",
    "https://a.example/b.tgz",
    `https://user:password@a.example/b.tgz#${digest}`,
    "x".repeat(100_000),
  ])("%j is nothing", (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: "registry-usage" }));
  });

  test("any text is read or refused with a code", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z/:@#.^-]{0,40}$/)), (text) => {
        try {
          parseReference(text);
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: "registry-usage" });
        }
      }),
      { numRuns: 2000, seed: 4 },
    );
  });
});

describe("places", () => {
  test.each([
    ["lab/a", "index/1/lab/a.jsonl"],
    ["lab/ab", "index/2/lab/ab.jsonl"],
    ["lab/abc", "index/3/a/lab/abc.jsonl"],
    ["lab/abcdef", "index/ab/cd/lab/abcdef.jsonl"],
    ["lab/a.b-c", "index/a_/b_/lab/a.b-c.jsonl"],
  ])("%s is at %s", (name, path) => {
    expect(indexPath(name)).toBe(path);
    expect(aliasesPath(name)).toBe(path.replace("index", "aliases").replace(/l$/, ""));
  });

  test("stay inside the registry, and look-alikes share a shard", () => {
    const names = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?\/[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?$/);
    fc.assert(
      fc.property(names, (name) => {
        if (!releaseNameSchema.safeParse(name).success) return;
        expect(indexPath(name)).toMatch(/^index(\/[a-z0-9_]{1,2}){1,2}\/[a-z0-9._-]+\/[a-z0-9._-]+\.jsonl$/);
        expect(indexPath(name)).not.toMatch(/\/\.|\.\//);
        const [namespace, own] = name.split("/") as [string, string];
        expect(shardPath(name)).toBe(shardPath(`${namespace}/${lookAlike(own)}`));
      }),
      { numRuns: 1000, seed: 5 },
    );
  });
});
