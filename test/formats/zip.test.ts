/** The zip container: what torch and Python write is read, lies about entries are not believed, writing is aligned and stable. */
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { memorySource } from "../../src/base/bytes.ts";
import { readZipDirectory, readZipEntry } from "../../src/formats/zip.ts";
import { encodeZip } from "../../src/formats/zip-encode.ts";
import { fixture } from "../support/fixtures.ts";
import { concat, u16, u32, u64 } from "./bytes.ts";

async function readAll(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const source = memorySource(bytes, "x.zip");
  const out = new Map<string, Uint8Array>();
  for (const [name, entry] of await readZipDirectory(source)) out.set(name, await readZipEntry(source, entry));
  return out;
}

async function expectRefused(bytes: Uint8Array, message: RegExp): Promise<void> {
  await expect(readAll(bytes)).rejects.toMatchObject({ code: "zip-invalid", message: expect.stringMatching(message) });
}

function edited(bytes: Uint8Array, at: number, change: Uint8Array | number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(change, at);
  return copy;
}

const END = 22;
const small = encodeZip([
  { name: "r/a", bytes: Uint8Array.of(1, 2, 3) },
  { name: "r/b", bytes: Uint8Array.of(4, 5, 6, 7) },
]);
/** Where the directory begins, and its second entry: 46 fixed bytes and a name of 3. */
const directory = new DataView(small.buffer).getUint32(small.length - END + 16, true);
const second = directory + 49;

test("names, sizes and contents come back; contents lie on multiples of 64", async () => {
  const entry = fc.record({
    name: fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }),
    bytes: fc.uint8Array({ maxLength: 200 }),
  });
  const entries = fc.uniqueArray(entry, { selector: ({ name }) => name, maxLength: 6 });
  const property = fc.asyncProperty(entries, async (contents) => {
    const bytes = encodeZip(contents);
    const read = await readAll(bytes);
    expect([...read.keys()]).toEqual(contents.map(({ name }) => name));
    for (const { name, bytes: content } of contents) {
      const found = read.get(name)!;
      expect(Buffer.from(found)).toEqual(Buffer.from(content));
      if (content.length > 0) expect((found.byteOffset - bytes.byteOffset) % 64).toBe(0);
    }
    expect(Buffer.compare(encodeZip(contents), bytes)).toBe(0);
  });
  await fc.assert(property, { numRuns: 200 });
});

test("the writer's bytes, field by field", () => {
  const bytes = encodeZip([{ name: "n", bytes: Buffer.from("123456789") }]);
  const local = concat("PK\x03\x04", u16(20), u16(0x800), u16(0), u16(0), u16(0x21), u32(0xcbf43926), u32(9), u32(9));
  const padding = concat(u16(1), u16(33), "n", u16(0x4246), u16(29), "Z".repeat(29));
  expect(Buffer.from(bytes.subarray(0, 64))).toEqual(Buffer.from(concat(local, padding)));
  expect(Buffer.from(bytes.subarray(64, 73)).toString()).toBe("123456789");
  expect(bytes.length).toBe(73 + 46 + 1 + END);
});

test("reads torch's own archive, whose local headers hold no sizes and whose directory is zip64", async () => {
  const bytes = new Uint8Array(await readFile(fixture("torch", "bare.pt")));
  const read = await readAll(bytes);
  expect([...read.keys()].slice(0, 5)).toEqual([
    "bare/data.pkl",
    "bare/.format_version",
    "bare/.storage_alignment",
    "bare/byteorder",
    "bare/data/0",
  ]);
  expect(Buffer.from(read.get("bare/data/0")!).toString("hex")).toBe("0000a03f000000c0");
  expect(new DataView(bytes.buffer).getUint32(18, true)).toBe(0);
});

describe("zip64", () => {
  const content = Uint8Array.of(9, 9);
  const zip64 = (sizes: Uint8Array, count = 1n) => {
    const local = concat("PK\x03\x04", u16(45), new Uint8Array(20), u16(1), u16(0), "n", content);
    const shorts = concat(u16(45), u16(45), u16(0), u16(0), u16(0), u16(0), u32(0), u32(0xffffffff), u32(0xffffffff));
    const extra = concat(u16(0x4246), u16(2), "ZZ", u16(1), u16(sizes.length), sizes);
    const tail = concat(u16(1), u16(extra.length), u16(0), u16(0), u16(0), u32(0), u32(0xffffffff), "n", extra);
    const central = concat("PK\x01\x02", shorts, tail);
    const at = local.length + central.length;
    const end64 = concat("PK\x06\x06", u64(44), u16(45), u16(45), u32(0), u32(0));
    const counts = concat(u64(count), u64(count), u64(central.length), u64(local.length));
    const locator = concat("PK\x06\x07", u32(0), u64(at), u32(1));
    const end = concat(
      "PK\x05\x06",
      u16(0),
      u16(0),
      u16(0xffff),
      u16(0xffff),
      u32(0xffffffff),
      u32(0xffffffff),
      u16(0),
    );
    return concat(local, central, end64, counts, locator, end);
  };

  test("sizes and offset from the extra field, whichever fields precede it", async () => {
    const read = await readAll(zip64(concat(u64(2), u64(2), u64(0))));
    expect([...read]).toEqual([["n", expect.objectContaining({ length: 2 })]]);
  });
  test("missing sizes", () => expectRefused(zip64(concat(u64(2))), /lacks its zip64 sizes/));
  test("a size of 2^63", () => expectRefused(zip64(concat(u64(2n ** 63n), u64(2), u64(0))), /beyond any file/));
  test("a size of 2^40", () => expectRefused(zip64(concat(u64(2n ** 40n), u64(2n ** 40n), u64(0))), /runs past/));
  test("2^60 entries", () => expectRefused(zip64(concat(u64(2), u64(2), u64(0)), 2n ** 60n), /beyond any file/));
  test("2^50 entries", () => expectRefused(zip64(concat(u64(2), u64(2), u64(0)), 2n ** 50n), /entries in bytes/));
});

describe("refuses", () => {
  test("an empty file", () => expectRefused(new Uint8Array(0), /no end record/));
  test("a truncated file, wherever it is cut", async () => {
    for (let length = 0; length < small.length; length++) await expectRefused(small.slice(0, length), /./);
  });
  test("bytes before the archive", () => expectRefused(concat([0], small), /expected to end at/));
  test("bytes behind the archive", () => expectRefused(concat(small, [0]), /no end record/));
  test("a directory elsewhere", () => expectRefused(edited(small, small.length - 6, u32(0)), /expected to end at/));
  test("more entries than there are", () =>
    expectRefused(edited(small, small.length - 12, u16(3)), /entries in bytes/));
  test("fewer entries than there are", () => expectRefused(edited(small, small.length - 12, u16(1)), /bytes follow/));
  test("several disks", () => expectRefused(edited(small, small.length - 18, u16(1)), /several disks/));
  test("no directory entry where one should be", () => expectRefused(edited(small, directory, [0]), /entry 0 of 2/));
  test("a compressed entry", () => expectRefused(edited(small, directory + 10, u16(8)), /compressed \(method 8\)/));
  test("an encrypted entry", () => expectRefused(edited(small, directory + 8, u16(1)), /encrypted/));
  test("a stored size that differs", () =>
    expectRefused(edited(small, directory + 20, u32(4)), /has 3 bytes but stores 4/));
  test("an entry that runs into the next", () => {
    return expectRefused(edited(small, directory + 20, concat(u32(200), u32(200))), /runs past byte/);
  });
  test("two entries on the same bytes", () => expectRefused(edited(small, second + 42, u32(0)), /runs past byte/));
  test("two entries of one name", () => {
    const twice = edited(small, second + 48, Buffer.from("a"));
    return expectRefused(twice, /two entries are called r\/a/);
  });
  test("a local header of another name", () => expectRefused(edited(small, 32, Buffer.from("x")), /called r\/x/));
  test("no local header", () => expectRefused(edited(small, 0, [0]), /no local header/));
  test("an extra field that pushes the content out", () => expectRefused(edited(small, 28, u16(5000)), /needs bytes/));
  test("a content that does not match its CRC", () => expectRefused(edited(small, 64, [9]), /CRC/));
  test("a name that is not UTF-8", () => expectRefused(edited(small, directory + 46, [0xff]), /not UTF-8/));
});

test("a CRC of zero in the directory is not checked: some writers leave it out", async () => {
  const unchecked = edited(edited(small, directory + 16, u32(0)), 64, [9]);
  expect([...(await readAll(unchecked)).get("r/a")!]).toEqual([9, 2, 3]);
});
