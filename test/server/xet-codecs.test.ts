/** Xet's codecs: what hf_xet wrote decodes to the right sha256, random data round-trips, and lies are refused (case 62). */
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { HttpError } from "../../src/server/http/http-error.ts";
import { ungroupBytes } from "../../src/server/xet/byte-groups.ts";
import { readChunkHeader } from "../../src/server/xet/chunk.ts";
import { hashString, isHashString } from "../../src/server/xet/hash.ts";
import { decodeLz4Frame } from "../../src/server/xet/lz4.ts";
import { shardFiles } from "../../src/server/xet/shard.ts";
import { indexXorb, readChunk } from "../../src/server/xet/xorb.ts";
import { fixture } from "../support/fixtures.ts";
import { chunkBytes, chunkOf, groupBytes, hashBytes, lz4Block, lz4Frame, sha256, shardOf } from "./xet-encode.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-xet-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Bytes with repeats in them, so that matches (overlapping ones too) occur. */
const repetitive = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 60 })), { maxLength: 12 })
  .map((runs) => Buffer.concat(runs.flatMap(([bytes, times]) => Array<Uint8Array>(times).fill(bytes))));

async function chunksOf(xorb: Uint8Array): Promise<Uint8Array[]> {
  const path = join(folder, sha256(xorb));
  await writeFile(path, xorb);
  const file = await open(path);
  try {
    const index = await indexXorb(file, xorb.length);
    return await Promise.all(index.slice(1).map((_, number) => readChunk(file, index, number)));
  } finally {
    await file.close();
  }
}

describe("what hf_xet 1.8.0 wrote: random, float32-normal, text and zeros", () => {
  test("all three schemes occur, and every file of the shard has the sha256 it says", async () => {
    const xorb = await readFile(fixture("hub-requests", "hf_xet-1.8.0.xorb"));
    const chunks = await chunksOf(xorb);
    const schemes = new Set<number>();
    for (let at = 0; at < xorb.length; ) {
      const header = readChunkHeader(xorb.subarray(at, at + 8));
      schemes.add(header.scheme);
      at += 8 + header.stored;
    }
    expect([...schemes].sort()).toEqual([0, 1, 2]);

    const files = [...shardFiles(await readFile(fixture("hub-requests", "hf_xet-1.8.0.shard")))];
    expect(files.map((file) => file.size).sort((a, b) => a - b)).toEqual([1500, 2700, 4099, 300000]);
    for (const file of files) {
      const parts = [...file.terms()].flatMap((term) => chunks.slice(term.start, term.end));
      expect(sha256(Buffer.concat(parts))).toBe(file.sha256);
    }
  });
});

describe("round trips", () => {
  test("LZ4 frames: any block size, linked or not, stored or not, with and without sizes and checksums", () => {
    const property = fc.property(
      repetitive,
      fc.integer({ min: 1, max: 300 }),
      fc.constantFrom(0x60, 0x68, 0x70, 0x64, 0x7c, 0x40),
      fc.boolean(),
      (bytes, blockBytes, flags, stored) => {
        const frame = lz4Frame(bytes, { blockBytes, flags, stored });
        expect(Buffer.compare(decodeLz4Frame(frame, bytes.length), bytes)).toBe(0);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  test("a linked block may reach into the block before it, an independent one may not", () => {
    const first = lz4Block(Buffer.from("abcdefgh"));
    const second = Uint8Array.of(0x04, 8, 0, 0x10, 33); // no literals, 8 bytes from 8 back, then "!"
    const linked = lz4Frame(new Uint8Array(), { flags: 0x40, blocks: [first, second] });
    expect(Buffer.from(decodeLz4Frame(linked, 17)).toString()).toBe("abcdefghabcdefgh!");
    const independent = lz4Frame(new Uint8Array(), { flags: 0x60, blocks: [first, second] });
    expect(() => decodeLz4Frame(independent, 17)).toThrow("reaches 8 bytes back, of 0");
  });

  test("byte groups of any length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        expect(Buffer.compare(ungroupBytes(groupBytes(bytes)), bytes)).toBe(0);
      }),
    );
    expect([...ungroupBytes(Uint8Array.of(1, 5, 2, 6, 3, 4))]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("xorbs of any chunks, with and without an old client's footer", async () => {
    const chunk = fc.tuple(repetitive, fc.constantFrom(0 as const, 1 as const, 2 as const));
    const chunks = fc.array(
      chunk.filter(([raw]) => raw.length > 0),
      { minLength: 1, maxLength: 6 },
    );
    const property = fc.asyncProperty(chunks, fc.boolean(), async (list, footer) => {
      const parts = list.map(([raw, scheme]) => chunkOf(raw, scheme));
      const read = await chunksOf(Buffer.concat(footer ? [...parts, Buffer.from("XETBLOB\x01rest")] : parts));
      expect(read.map((bytes) => sha256(bytes))).toEqual(list.map(([raw]) => sha256(raw)));
    });
    await fc.assert(property, { numRuns: 60 });
  });

  test("hash strings print each u64 from its highest byte", () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, at) => at);
    expect(hashString(bytes)).toBe("07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918");
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (any) => {
        expect(isHashString(hashString(any))).toBe(true);
        expect(Buffer.compare(hashBytes(hashString(any)), any)).toBe(0);
      }),
    );
    for (const bad of ["", "../x", "A".repeat(64), `${"a".repeat(64)}\n`, "a".repeat(63)])
      expect(isHashString(bad)).toBe(false);
  });

  test("shards of any files", () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(hashString);
    const term = fc
      .record({ xorb: hash, bytes: fc.nat(2 ** 31), start: fc.nat(9000), length: fc.integer({ min: 1, max: 9000 }) })
      .map(({ length, ...rest }) => ({ ...rest, end: rest.start + length }));
    const file = fc.record({ sha256: hash, terms: fc.array(term, { maxLength: 5 }), verification: fc.boolean() });
    fc.assert(
      fc.property(fc.array(file, { maxLength: 4 }), (files) => {
        const read = [...shardFiles(shardOf(files))].map((each) => ({ sha256: each.sha256, terms: [...each.terms()] }));
        expect(read).toEqual(files.map(({ sha256, terms }) => ({ sha256, terms })));
      }),
    );
  });
});

describe("case 62: lies", () => {
  const text = Buffer.from("a rose is a rose is a rose is a rose");

  const frames: [string, Uint8Array, number][] = [
    ["another magic", Buffer.from("not an LZ4 frame"), 36],
    ["another version", lz4Frame(text, { flags: 0xa0 }), 36],
    ["a dictionary", lz4Frame(text, { flags: 0x61 }), 36],
    ["fewer bytes than promised", lz4Frame(text), 37],
    ["more bytes than promised", lz4Frame(text), 35],
    ["a stored block that is too long", lz4Frame(text, { stored: true }), 35],
    ["a content size that differs", lz4Frame(text.subarray(1), { flags: 0x68 }), 36],
    ["bytes behind the frame", Buffer.concat([lz4Frame(text), Uint8Array.of(1)]), 36],
    ["a match before the start", lz4Frame(text, { blocks: [Uint8Array.of(0x10, 65, 2, 0, 0x10, 66)] }), 6],
    ["a match of distance 0", lz4Frame(text, { blocks: [Uint8Array.of(0x10, 65, 0, 0, 0x10, 66)] }), 6],
    [
      "an overrun by a match",
      lz4Frame(text, { blocks: [Uint8Array.of(0x1f, 65, 1, 0, 255, 255, 255, 0, 0x10, 66)] }),
      100,
    ],
    ["literals that are not there", lz4Frame(text, { blocks: [Uint8Array.of(0xf0, 255, 255, 255, 255, 255)] }), 100],
    ["a length that never ends", lz4Frame(text, { blocks: [new Uint8Array(3000).fill(255)] }), 100],
    ["a block longer than the frame", lz4Frame(text).subarray(0, 20), 36],
    ["no end mark", lz4Frame(text).subarray(0, -4), 36],
  ];

  test.each(frames)("an LZ4 frame with %s", (_, frame, size) => {
    expect(() => decodeLz4Frame(frame, size)).toThrow(HttpError);
  });

  test("damaged frames give the right length or HttpError 400, nothing else", () => {
    const frame = lz4Frame(Buffer.concat(Array(50).fill(text)), { blockBytes: 500 });
    const damage = fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(damage, fc.nat(frame.length), (spots, cut) => {
        const bad = Uint8Array.from(frame.subarray(0, frame.length - (cut % 7)));
        for (const [at, value] of spots) if (at < bad.length) bad[at] = value;
        try {
          expect(decodeLz4Frame(bad, 1800).length).toBe(1800);
        } catch (error) {
          expect(error).toMatchObject({ status: 400 });
        }
      }),
      { numRuns: 2000 },
    );
  });

  const good = chunkOf(text, 0);
  const xorbs: [string, Uint8Array, string][] = [
    ["nothing", new Uint8Array(), "xorb is empty"],
    ["a chunk of another version", chunkBytes(text, 36, 0, 1), "chunk version 1"],
    ["scheme 3", chunkBytes(text, 36, 3), "compression scheme 3"],
    ["scheme 99 (auto)", chunkBytes(text, 36, 99), "compression scheme 99"],
    ["more than 128 KiB raw", chunkBytes(text, 131073, 1), "131073 raw bytes"],
    ["an empty chunk", chunkBytes(new Uint8Array(), 0, 0), "chunk of 0 raw bytes"],
    ["stored and raw sizes that differ", chunkBytes(text, 37, 0), "36 stored and 37 raw"],
    ["a compressed chunk longer than its content", chunkBytes(lz4Frame(text), 10, 1), "stored and 10 raw"],
    ["a chunk that runs past the end", good.subarray(0, -1), "runs to byte 44 of a xorb of 43"],
    ["half a header", Buffer.concat([good, good.subarray(0, 5)]), "inside the header of chunk 1"],
    ["nothing but a footer", Buffer.from("XETBLOB\x01rest"), "chunk version 88"],
    [
      "more than 8192 chunks",
      Buffer.concat(Array(8193).fill(chunkBytes(Uint8Array.of(1), 1, 0))),
      "more than 8192 chunks",
    ],
    [
      "a frame shorter than its header says",
      chunkBytes(lz4Frame(text), 1000, 1),
      "holds 36 bytes, its chunk says 1000",
    ],
    [
      "a grouped frame longer than its header says",
      chunkBytes(lz4Frame(new Uint8Array(900)), 800, 2),
      "more than the 800 bytes",
    ],
  ];

  test.each(xorbs)("a xorb with %s", async (_, xorb, message) => {
    const reading = chunksOf(xorb);
    await expect(reading).rejects.toMatchObject({ status: 400 });
    await expect(reading).rejects.toThrow(message);
  });

  const hash = "ab".repeat(32);
  const term = { xorb: hash, bytes: 5, start: 0, end: 1 };
  const shards: [string, Uint8Array, string][] = [
    ["nothing", new Uint8Array(), "shard of 0 bytes"],
    ["another magic", new Uint8Array(96), "shard magic"],
    ["version 3", shardOf([], { version: 3 }), "shard version 3"],
    ["no end mark", shardOf([{ sha256: hash, terms: [term] }], { end: false }), "no end mark"],
    ["no sha256", shardOf([{ terms: [term] }]), "without its sha256"],
    ["4 billion terms", shardOf([{ sha256: hash, terms: [term], count: 0xffffffff }]), "4294967295 terms"],
    [
      "4 billion verified terms",
      shardOf([{ sha256: hash, terms: [term], count: 0xffffffff, verification: true }]),
      "4294967295 terms",
    ],
    ["an empty range", shardOf([{ sha256: hash, terms: [{ ...term, start: 1 }] }]), "covers chunks 1 to 1"],
    ["a reversed range", shardOf([{ sha256: hash, terms: [{ ...term, start: 7 }] }]), "covers chunks 7 to 1"],
  ];

  test.each(shards)("a shard with %s", (_, shard, message) => {
    const read = () => [...shardFiles(shard)].map((each) => [...each.terms()]);
    expect(read).toThrow(HttpError);
    expect(read).toThrow(message);
  });

  test("a shard cut anywhere is refused", () => {
    const whole = shardOf([
      { sha256: hash, terms: [term, term], verification: true },
      { sha256: hash, terms: [] },
    ]);
    for (let length = 0; length < whole.length - 16; length++) {
      expect(() => [...shardFiles(whole.subarray(0, length))]).toThrow(HttpError);
    }
  });
});
