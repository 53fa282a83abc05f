/** Streamed text: never half a character, never past a stop string, and in sum what decoding everything gives. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { TextStream } from "../../src/runtime/text-stream.ts";
import type { Tokenizer } from "../../src/runtime/tokenizer.ts";
import { repository } from "../support/source-files.ts";

/** A tokenizer whose tokens are pieces of bytes, as byte-level BPE is underneath; "" stands for a special token that is skipped. */
function pieces(list: readonly (Uint8Array | "")[]): Tokenizer {
  const decode = (ids: readonly number[]) => Buffer.concat(ids.map((id) => Buffer.from(list[id]!))).toString("utf8");
  return { decode } as Tokenizer;
}

/** Tokens that are words, of which the first one loses its space, as SentencePiece's do. */
function words(list: readonly string[]): Tokenizer {
  return {
    decode: (ids: readonly number[]) =>
      ids
        .map((id) => list[id]!)
        .join("")
        .replace(/^ /, ""),
  } as Tokenizer;
}

function streamed(tokenizer: Tokenizer, count: number, stops: readonly string[] = []) {
  const stream = new TextStream(tokenizer, stops);
  const parts: string[] = [];
  for (let id = 0; id < count && !stream.stopped; id++) parts.push(stream.push(id));
  parts.push(stream.end());
  return { parts, text: parts.join(""), stopped: stream.stopped };
}

/** Bytes cut at arbitrary places. */
function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths.length === 0 ? 1 : Math.max(1, lengths[i % lengths.length]!);
    parts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return parts;
}

const unicode = fc.string({
  unit: fc.oneof(
    fc.constantFrom("a", " ", "é", "€", "語", "🙂", "👩‍👩‍👧", "\n"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
  ),
  maxLength: 30,
});
const cuts = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 6 });

describe("characters", () => {
  test("split over tokens come whole", () => {
    const bytes = Buffer.from("né 語🙂!");
    const { parts } = streamed(pieces(cut(bytes, [])), bytes.length);
    expect(parts.filter((part) => part !== "")).toEqual(["n", "é", " ", "語", "🙂", "!"]);
  });

  test("any text in any pieces streams to itself, with no part of a character on the way", () => {
    fc.assert(
      fc.property(unicode, cuts, (text, lengths) => {
        const well = Buffer.from(text).toString("utf8");
        const list = cut(Buffer.from(well), lengths);
        const { parts, text: found } = streamed(pieces(list), list.length);
        expect(found).toBe(well);
        if (!well.includes("\ufffd")) expect(parts.some((part) => part.includes("\ufffd"))).toBe(false);
        expect(parts.every((part) => !/\p{Surrogate}/u.test(part))).toBe(true);
      }),
      { numRuns: 500, seed: 7 },
    );
  });

  test("bytes that are no text at all stream to what decoding them gives", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), cuts, (bytes, lengths) => {
        const list = cut(bytes, lengths);
        expect(streamed(pieces(list), list.length).text).toBe(Buffer.from(bytes).toString("utf8"));
      }),
      { numRuns: 500, seed: 7 },
    );
  });

  test("special tokens between the bytes of a character do not tear it", () => {
    const list = ["", ...cut(Buffer.from("é🙂"), []).flatMap((byte): (Uint8Array | "")[] => [byte, ""])] as const;
    expect(streamed(pieces(list), list.length).parts.filter((part) => part !== "")).toEqual(["é", "🙂"]);
  });

  test("what is incomplete at the end is let go as it decodes", () => {
    const list = cut(Buffer.from("a🙂").subarray(0, 3), []);
    expect(streamed(pieces(list), 3).text).toBe("a\ufffd");
  });

  test("spaces between words stay, the first one goes", () => {
    expect(streamed(words([" The", " earth", " is", "", " round", "."]), 6).parts).toEqual([
      "The",
      " earth",
      " is",
      "",
      " round",
      ".",
      "",
    ]);
  });
});

describe("stop strings", () => {
  const text = (list: readonly string[], stops: readonly string[]) =>
    streamed(pieces(list.map((part) => Buffer.from(part))), list.length, stops);

  test("end the text before them, wherever tokens begin", () => {
    expect(text(["Hello", "\n", "\nQ:", " more"], ["\n\nQ"])).toMatchObject({ text: "Hello", stopped: true });
    expect(text(["Hello\n\nQ: more"], ["\n\nQ"])).toMatchObject({ text: "Hello", stopped: true });
    expect(text([..."Hello STOP it"], ["STOP"])).toMatchObject({ text: "Hello ", stopped: true });
    expect(text(["STOP"], ["STOP"])).toMatchObject({ text: "", stopped: true });
    expect(text(["S", "T", "O", "T", "STOP"], ["STOP"])).toMatchObject({ text: "STOT", stopped: true });
  });

  test("half of one is held back and let go when it was not one after all", () => {
    const { parts, stopped } = text(["a", "\n", "\n", "b"], ["\n\nQ"]);
    expect([parts, stopped]).toEqual([["a", "", "", "\n\nb", ""], false]);
    expect(text(["a", "\n", "\n"], ["\n\nQ"])).toMatchObject({ text: "a\n\n", stopped: false });
  });

  test("the first of several counts; empty ones are none", () => {
    expect(text([..."one two three"], ["three", "two", ""])).toMatchObject({ text: "one ", stopped: true });
    expect(text([..."abcd"], [""])).toMatchObject({ text: "abcd", stopped: false });
  });

  test("characters of several bytes and emoji can be stops", () => {
    const bytes = Buffer.from("ok 語🙂 more");
    const list = cut(bytes, [2]);
    expect(streamed(pieces(list), list.length, ["🙂"])).toMatchObject({ text: "ok 語", stopped: true });
  });

  test("overlapping beginnings are followed all the way", () => {
    expect(text([..."aaab"], ["aab"])).toMatchObject({ text: "a", stopped: true });
    expect(text([..."ababac"], ["abac"])).toMatchObject({ text: "ab", stopped: true });
  });

  test("one stop in any text, in any pieces: the text up to its first occurrence", () => {
    const stop = fc.string({ unit: fc.constantFrom("a", "b", "é"), minLength: 1, maxLength: 4 });
    const around = fc.string({ unit: fc.constantFrom("a", "b", "é", "c"), maxLength: 30 });
    fc.assert(
      fc.property(around, stop, cuts, (whole, end, lengths) => {
        const list = cut(Buffer.from(whole), lengths);
        const at = whole.indexOf(end);
        const expected = at < 0 ? { text: whole, stopped: false } : { text: whole.slice(0, at), stopped: true };
        expect(streamed(pieces(list), list.length, [end])).toMatchObject(expected);
      }),
      { numRuns: 1000, seed: 3 },
    );
  });

  test("nothing comes after a stop", () => {
    const stream = new TextStream(pieces(["xSTOP", "y", "z"].map((part) => Buffer.from(part))), ["STOP"]);
    expect([stream.push(0), stream.push(1), stream.push(2), stream.end(), stream.stopped]).toEqual([
      "x",
      "",
      "",
      "",
      true,
    ]);
  });
});

describe("a real byte-level tokenizer", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(`${repository}examples/truthful-tiny`);
  });
  afterAll(() => model.release());

  test("text comes back, in pieces too", () => {
    for (const text of [" Which is larger, 7 or 31?", " naïve 語 🙂", " a  b\n\tc"]) {
      const ids = model.tokenizer!.encode(text);
      expect(ids[0]).toBe(1);
      const decoded = model.tokenizer!.decode(ids);
      const stream = new TextStream(model.tokenizer!, []);
      expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(decoded);
    }
  });

  test("every sequence of its tokens streams to its decoding", () => {
    const ids = fc.array(fc.nat({ max: model.shape.vocabularySize - 1 }), { maxLength: 25 });
    fc.assert(
      fc.property(ids, (list) => {
        const stream = new TextStream(model.tokenizer!, []);
        expect(list.map((id) => stream.push(id)).join("") + stream.end()).toBe(model.tokenizer!.decode(list));
      }),
      { numRuns: 300, seed: 11 },
    );
  });
});
