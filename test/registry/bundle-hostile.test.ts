/** Archives that somebody made to do harm, by the numbers of the checklist: all are refused, and nothing is left behind. */
import { readdirSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { packBundle } from "../../src/registry/bundle-pack.ts";
import { unpackBundle } from "../../src/registry/bundle-unpack.ts";
import { tensorsFileName } from "../../src/spec/manifest.ts";
import { bundleFile, END, type Entry, entriesOf, entryBytes, paxRecord, tar } from "./archives.ts";
import { sampleFolder, temporaryFolder } from "./bundle-places.ts";

let good: readonly Entry[];
let packed: Buffer;

beforeAll(async () => {
  const folder = await sampleFolder();
  good = entriesOf(folder);
  await packBundle(folder, `${folder}.tgz`);
  packed = await readFile(`${folder}.tgz`);
});

/** Unpacks beside a file that must survive; the code it failed with, or undefined. */
async function outcome(file: string): Promise<{ code: unknown; message: unknown }> {
  const outer = await temporaryFolder();
  await writeFile(join(outer, "victim"), "untouched");
  const target = join(outer, "target");
  const failure = await unpackBundle(file, target).then(
    () => ({ code: undefined, message: "it was unpacked" }),
    ({ code, message }) => ({ code, message }),
  );
  const left = readdirSync(outer);
  expect(left.filter((name) => name !== "target")).toEqual(["victim"]);
  if (failure.code !== undefined) expect(left).toEqual(["victim"]);
  expect(await readFile(join(outer, "victim"), "utf8")).toBe("untouched");
  return failure;
}

async function refusal(bytes: Uint8Array, gzip = true) {
  return outcome(await bundleFile(bytes, gzip));
}

/** The sample with one entry more, before and after the others. */
async function expectRefused(entry: Entry | Buffer, message: RegExp): Promise<void> {
  const bytes = Buffer.isBuffer(entry) ? entry : entryBytes(entry);
  const others = good.map(entryBytes);
  for (const blocks of [
    [bytes, ...others],
    [...others, bytes],
  ]) {
    const failure = await refusal(Buffer.concat([...blocks, END]));
    expect(failure).toEqual({ code: "bundle-invalid", message: expect.stringMatching(message) });
  }
}

test("the sample itself is unpacked, so that what follows fails for its own reason", async () => {
  expect(await refusal(tar(good))).toMatchObject({ code: undefined });
});

const content = Buffer.from("owned");

describe("case 29: names that lead elsewhere", () => {
  test.each([
    "../victim",
    "a/../../victim",
    "/tmp/victim",
    "C:victim",
    "C:\\victim",
    "..\\victim",
    "..",
    "./README.md",
    "a/b",
  ])("%j", (name) => expectRefused({ name, content }, /path|upwards|folders|name|characters/));
});

test.each([".", ""])("case 29: the name %j is none", (name) =>
  expectRefused({ name, content }, /no tar archive|Windows|path is required/),
);

test("case 30: links, and writing through them", async () => {
  await expectRefused({ name: "README.MD", type: "2", link: "/etc/passwd" }, /SymbolicLink/);
  await expectRefused({ name: "intkey_x.bin", type: "2", link: "../victim" }, /SymbolicLink/);
  await expectRefused({ name: "intkey_x.bin", type: "1", link: "README.md" }, /a Link/);
  const twice = [
    { name: "model.sig", type: "2", link: "../victim" },
    { name: "model.sig", content },
  ];
  expect(await refusal(tar([...twice, ...good]))).toMatchObject({ code: "bundle-invalid" });
});

test.each([
  ["3", "CharacterDevice"],
  ["4", "BlockDevice"],
  ["5", "Directory"],
  ["6", "FIFO"],
  ["7", "ContiguousFile"],
  ["S", "a "],
  ["V", "a "],
  ["D", "a "],
])("case 31: an entry of type %s", async (type, message) => {
  await expectRefused({ name: "intkey_x.bin", type }, new RegExp(message));
});

test.each([0o4755, 0o2755, 0o1755])("case 32: rights %i", async (mode) => {
  await expectRefused({ name: "intkey_x.bin", mode, content }, /setuid/);
});

test("case 33: the same name twice, in both orders", async () => {
  await expectRefused({ name: "README.md", content }, /twice/);
  await expectRefused(good.find(({ name }) => name === tensorsFileName)!, /twice/);
});

test("case 34: names that only some file systems tell apart", async () => {
  await expectRefused({ name: "readme.md", content }, /twice|no file of an artefact/);
  const key = good.find(({ name }) => name.startsWith("intkey_"))!.name;
  await expectRefused({ name: key.replace("block", "BLOCK"), content }, /only by case/);
  await expectRefused({ name: "intkey_caf\u00e9.bin", content }, /characters/);
  await expectRefused({ name: "intkey_cafe\u0301.bin", content }, /characters/);
});

describe("case 35: names that Windows takes for something else", () => {
  test.each([
    "CON",
    "nul.bin",
    "com1",
    "LPT9.json",
    "README.md.",
    "README.md ",
    "README.md:stream",
    "intkey_a:b.bin",
    "aux.md",
  ])("%j", (name) => expectRefused({ name, content }, /Windows|absolute/));
  test.each(["intkey_\u0007.bin", "intkey_\u202e.bin", "a*b", "intkey_a b.bin", "evil.py", "pytorch_model.bin"])(
    "%j",
    (name) => expectRefused({ name, content }, /characters|no file of an artefact/),
  );
});

function pax(name: string, records: readonly (readonly [string, string])[], type = "x"): Buffer {
  const body = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  return Buffer.concat([entryBytes({ name: "PaxHeader/x", type, content: body }), entryBytes({ name, content })]);
}

test("case 36: folders 1500 deep, names of 4 kB", async () => {
  await expectRefused(pax("x", [["path", `${"d/".repeat(1500)}README.md`]]), /a name of 3009 characters/);
  await expectRefused(pax("x", [["path", `intkey_${"n".repeat(4096)}.bin`]]), /a name of 4107 characters/);
  const long = entryBytes({ name: "././@LongLink", type: "L", content: Buffer.from(`${"n".repeat(4000)}\0`) });
  await expectRefused(Buffer.concat([long, entryBytes({ name: "x", content })]), /a name of 4000 characters/);
  const endless = entryBytes({ name: "././@LongLink", type: "L", content: Buffer.alloc(1 << 17, "n") });
  await expectRefused(Buffer.concat([endless, entryBytes({ name: "x", content })]), /NextFileHasLongPath/);
});

test("case 37: pax headers that change names and sizes", async () => {
  await expectRefused(pax("README.md", [["path", "../victim"]]), /upwards/);
  await expectRefused(pax("README.md", [["path", "/etc/victim"]]), /absolute/);
  await expectRefused(pax("intkey_x.bin", [["size", "9007199254740993"]]), /size|truncated|bytes/);
  await expectRefused(pax("intkey_x.bin", [["size", "-1"]]), /does not name intkey_x/);
  await expectRefused(pax("intkey_x.bin", [["size", "abc"]]), /does not name intkey_x/);
  await expectRefused(pax("intkey_x.bin", [["path", "README.md"]], "g"), /headers for all files/);
  await expectRefused(pax("intkey_x.bin", [["linkpath", "../victim"]]), /./);
});

describe("case 38: bombs", () => {
  test("8 MB of zeros in 8 kB, as the card, as the tensors and as a copy for pyvene", async () => {
    const zeros = Buffer.alloc(8 << 20);
    for (const name of ["README.md", "intervention.safetensors", "intkey_x.bin"]) {
      const others = good.filter((entry) => entry.name !== name);
      const failure = await refusal(
        tar([...others, { name, content: zeros.subarray(0, name === "README.md" ? 3 << 20 : zeros.length) }]),
      );
      expect(failure.code).toBe("bundle-invalid");
    }
  });

  test("a manifest that promises what the bomb holds does not help", async () => {
    const size = 70 << 20;
    const manifest = JSON.parse(good.find(({ name }) => name === "intervention.json")!.content!.toString());
    manifest.files[tensorsFileName].size = size;
    const entries = [
      { name: "intervention.json", content: Buffer.from(JSON.stringify(manifest)) },
      { name: tensorsFileName, content: Buffer.alloc(size) },
    ];
    expect(await refusal(tar(entries))).toEqual({
      code: "bundle-invalid",
      message: expect.stringMatching(/unpacks to more than 67108864 bytes/),
    });
  });

  test("a gzip within the gzip is no archive", async () => {
    expect((await refusal(gzipSync(tar(good)))).message).toMatch(/no tar archive/);
    expect((await refusal(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...Buffer.alloc(1020)]))).message).toMatch(
      /no tar archive/,
    );
  });

  test("more entries than any artefact has", async () => {
    const many = Array.from({ length: 5000 }, (_, i) => ({ name: `intkey_${i}.bin` }));
    expect((await refusal(tar([...many, ...good]))).message).toMatch(/more than 4096 files/);
  });
});

test("case 39: cut off at every block, and at every byte of the ends", async () => {
  const inner = tar(good);
  for (let length = 0; length < inner.length; length += 512) {
    expect((await refusal(inner.subarray(0, length))).code).toBe("bundle-invalid");
  }
  const outer = gzipSync(inner);
  for (const whole of [outer, packed]) {
    const cuts = [0, 1, 9, 10, 17, 18, 100, whole.length >> 1];
    for (let end = 1; end <= 24; end++) cuts.push(whole.length - end);
    for (const cut of cuts) expect((await refusal(whole.subarray(0, cut), false)).code).toBe("bundle-invalid");
  }
});

describe("case 40: tails", () => {
  test.each([
    ["a second gzip member", () => gzipSync(tar([{ name: "intkey_x.bin", content }]))],
    ["an empty gzip member", () => gzipSync(Buffer.alloc(0))],
    ["garbage", () => Buffer.from("garbage")],
    ["a zero byte", () => Buffer.alloc(1)],
    ["zeros", () => Buffer.alloc(4096)],
  ])("%s after the gzip stream", async (_, tail) => {
    for (const whole of [gzipSync(tar(good)), packed]) {
      expect((await refusal(Buffer.concat([whole, tail()]), false)).code).toBe("bundle-invalid");
    }
  });

  test("something after the archive, or a hole in it", async () => {
    expect((await refusal(Buffer.concat([tar(good), tar(good)]))).message).toMatch(/something follows its end/);
    expect((await refusal(Buffer.concat([tar(good), Buffer.from("x".repeat(512))]))).message).toMatch(
      /something follows/,
    );
    expect((await refusal(Buffer.concat([tar(good), Buffer.from("x")]))).code).toBe("bundle-invalid");
    const holed = [entryBytes(good[0]!), Buffer.alloc(512), ...good.slice(1).map(entryBytes), END];
    expect((await refusal(Buffer.concat(holed))).message).toMatch(/an empty block stands before its end/);
    expect((await refusal(Buffer.concat([tar(good), Buffer.alloc(8192)]))).code).toBeUndefined();
  });

  test("any byte of the archive changed", async () => {
    const whole = gzipSync(tar(good));
    for (let at = 0; at < whole.length; at += 97) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 0x55;
      const { code } = await refusal(damaged, false);
      // Time, hints and operating system of a gzip header mean nothing.
      if (at < 4 || at > 9) expect(code).toBe("bundle-invalid");
    }
  });
});

describe("what the files say to one another", () => {
  const changed = (name: string, change: (content: Buffer) => Uint8Array) =>
    tar(good.map((entry) => (entry.name === name ? { name, content: change(Buffer.from(entry.content!)) } : entry)));

  test("other tensors, a manifest too few or too many, unknown files", async () => {
    const without = (name: string) => tar(good.filter((entry) => entry.name !== name));
    expect((await refusal(without("intervention.json"))).code).toBe("bundle-invalid");
    expect((await refusal(without(tensorsFileName))).code).toBe("bundle-invalid");
    expect((await refusal(END)).code).toBe("bundle-invalid");
    const flipped = changed(tensorsFileName, (bytes) => bytes.fill(bytes.at(-1)! ^ 1, bytes.length - 1));
    expect((await refusal(flipped)).code).toBe("artefact-tensor");
    expect((await refusal(changed(tensorsFileName, (bytes) => bytes.subarray(1)))).code).toBe("bundle-invalid");
    expect((await refusal(changed("intervention.json", () => Buffer.from("{}")))).code).toMatch(
      /manifest-invalid|format/,
    );
    expect((await refusal(changed("intervention.json", () => Buffer.from("{")))).code).toBe("json-invalid");
  });

  test("a pickle that runs code in place of pyvene's copy", async () => {
    const key = good.find(({ name }) => name.startsWith("intkey_"))!.name;
    const pickle = Buffer.from("\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.", "latin1");
    expect((await refusal(changed(key, () => pickle))).code).toMatch(/torch-unsupported|pickle-refused|zip-invalid/);
    expect((await refusal(tar([...good, { name: "intkey_extra.bin", content: pickle }]))).code).toBe("bundle-invalid");
    const config = Buffer.from('{"auto_map": {"AutoModel": "evil.py"}}');
    expect((await refusal(changed("config.json", () => config))).code).toBe("pyvene-config");
  });

  test("a signature over other files", async () => {
    expect((await refusal(tar([...good, { name: "model.sig", content: Buffer.from("{}") }]))).code).toBe(
      "registry-signature",
    );
  });
});

test("files that are no bundle at all", async () => {
  for (const bytes of ["", "x", "<html>", "PK\u0003\u0004".repeat(300)]) {
    expect((await refusal(Buffer.from(bytes), false)).code).toBe("bundle-invalid");
  }
  expect(await outcome(join(await mkdtemp(join(tmpdir(), "vene-registry-")), "absent.tgz"))).toMatchObject({
    code: "file-missing",
  });
  expect(await outcome(dirname(await bundleFile(tar(good))))).toMatchObject({ code: "file-unreadable" });
});
