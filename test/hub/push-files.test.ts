/** pushFiles by itself: what may be pushed, and files that change between being hashed and being sent. */
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { hubEnvironment } from "../../src/hub/environment.ts";
import { pushFiles } from "../../src/hub/push.ts";
import type { PushFile } from "../../src/hub/push-digests.ts";
import { parseRepoId } from "../../src/hub/repo-id.ts";
import { temporaryFolder } from "../artefact/places.ts";
import { FlakyHub } from "../support/flaky-hub.ts";
import { sha256 } from "../support/python-cache.ts";

let hub: FlakyHub;
let count = 0;
let repo: string;
beforeAll(async () => {
  hub = await FlakyHub.start();
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.whim = () => "pass";
  hub.seen.length = 0;
  repo = `me/files-${count++}`;
});

const push = (files: readonly PushFile[], remove: readonly string[] = []) =>
  pushFiles({ ...hubEnvironment(hub.options, {}), retryDelayMs: 1 }, parseRepoId(repo), async () => ({
    files,
    remove,
  }));
const text = (content: string) => Buffer.from(content);

test("files from memory and from disk, small and in LFS, are there as they were sent", async () => {
  const file = join(await temporaryFolder(), "x.safetensors");
  writeFileSync(file, "tensors".repeat(1000));
  const files = [
    { path: "a/b.txt", content: text("small") },
    { path: "empty.txt", content: text("") },
    { path: "x.safetensors", content: { file }, sha256: sha256("tensors".repeat(1000)) },
  ];
  expect((await push(files)).written).toEqual(["a/b.txt", "empty.txt", "x.safetensors"]);
  expect(await push(files)).toMatchObject({ changed: false });
  const fewer = await push([], ["a/b.txt", "not-there.txt"]);
  expect(fewer).toMatchObject({ changed: true, written: [], removed: ["a/b.txt"] });
});

test.each(["../x", "/x", "a//b", ".git/config", "C:\\x", "a\u0000b", ""])("the path %j is refused", async (path) => {
  await expect(push([{ path, content: text("x") }])).rejects.toMatchObject({ code: "hub-usage" });
  expect(hub.commits).toBe(0);
});

test("a path given twice is refused", async () => {
  const file = { path: "x", content: text("x") };
  await expect(push([file, file])).rejects.toMatchObject({ code: "hub-usage" });
});

describe("48: a file that", () => {
  let file: string;
  beforeEach(async () => {
    file = join(await temporaryFolder(), "x.safetensors");
    writeFileSync(file, "declared");
  });

  test("is not what was declared is not sent", async () => {
    const files = [{ path: "x.safetensors", content: { file }, sha256: sha256("something else") }];
    await expect(push(files)).rejects.toMatchObject({ code: "file-unreadable" });
    await expect(push([{ path: "x", content: { file: `${file}.gone` } }])).rejects.toMatchObject({
      code: "file-missing",
    });
    expect(hub.commits).toBe(0);
  });

  test("grows after it was hashed is pushed as it was", async () => {
    hub.whim = ({ url }) => {
      if (url!.includes("/preupload/")) appendFileSync(file, " and more");
      return "pass";
    };
    await push([{ path: "x.safetensors", content: { file } }]);
    expect(await hub.ask(`/${repo}/resolve/main/x.safetensors`)).toBe("declared");
  });

  test.each([
    ["changes", () => writeFileSync(file, "DECLARED")],
    ["shrinks", () => writeFileSync(file, "dec")],
  ])("%s after it was hashed is never called pushed", async (_, change) => {
    hub.whim = ({ url }) => {
      if (url!.includes("/preupload/")) change();
      return "pass";
    };
    await expect(push([{ path: "x.safetensors", content: { file } }])).rejects.toMatchObject({
      code: expect.stringMatching(/^(hub-integrity|hub-rejected|hub-unreachable|file-unreadable)$/),
    });
  });
});
