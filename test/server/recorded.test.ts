/**
 * The requests that Python's huggingface_hub sent, once, in every verb (test/oracle/hub_record.mjs), sent again: each must get
 * the answer that satisfied it then. Ids, times and tokens are new each time; whatever a recorded answer had, the live answer
 * has at the same place, and later requests are sent with the live one. 1.14.0 offers xet among others and is told no;
 * from 1.20 it is xet or, where that is switched off, LFS (what 1.33.0 and 2.4.0 send is the same).
 */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { request } from "undici";
import { startHub } from "../../src/server/hub-server.ts";
import { fixture } from "../support/fixtures.ts";

interface Recorded {
  method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  path: string;
  headers: Record<string, string>;
  body?: { text?: string; base64?: string };
  answer: { status: number; headers: Record<string, string>; body?: AnswerBody };
}
type AnswerBody = { json: unknown } | { bytes: number; sha256: string };

/** The server's address, upload tokens, store ids, commit and repository ids, times. 64 hex digits are digests: they stay. */
const VOLATILE =
  /127\.0\.0\.1:\d+|[\w-]{60,}\.[\w-]{43}(?![\w-])|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![0-9a-f])(?:[0-9a-f]{40}|[0-9a-f]{24})(?![0-9a-f])|\d{4}-\d\d-\d\dT[\d:.]+Z/g;

/** Live values by recorded values. */
class Names {
  readonly #live = new Map<string, string>();

  learn(recorded: string, live: string): void {
    const [old, now] = [recorded.match(VOLATILE) ?? [], live.match(VOLATILE) ?? []];
    if (old.length === now.length)
      for (const [i, value] of old.entries()) this.#live.set(value, this.#live.get(value) ?? now[i]!);
  }

  toLive(text: string): string {
    return text.replace(VOLATILE, (value) => this.#live.get(value) ?? value);
  }
}

function learnAll(names: Names, recorded: unknown, live: unknown): void {
  if (typeof recorded === "string" && typeof live === "string") names.learn(recorded, live);
  if (typeof recorded !== "object" || recorded === null || typeof live !== "object" || live === null) return;
  for (const [key, value] of Object.entries(recorded)) learnAll(names, value, (live as Record<string, unknown>)[key]);
}

/** What a recorded answer is to be like: with live values, and without the moment a token expires. */
function expectation(names: Names, value: unknown, key = ""): unknown {
  if (key === "exp") return expect.any(Number);
  if (typeof value === "string")
    return /^\d{4}-\d\d-\d\dT/.test(value) ? expect.stringMatching(/^\d{4}-\d\d-\d\dT/) : names.toLive(value);
  if (Array.isArray(value)) return value.map((item) => expectation(names, item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, expectation(names, inner, name)]));
}

function bytesOf({ body }: Recorded, names: Names): Buffer | undefined {
  if (body?.text !== undefined) return Buffer.from(names.toLive(body.text));
  return body?.base64 === undefined ? undefined : Buffer.from(body.base64, "base64");
}

async function send(url: string, recorded: Recorded, names: Names): Promise<Recorded["answer"]> {
  const headers = Object.fromEntries(
    Object.entries(recorded.headers).map(([name, value]) => [name, names.toLive(value)]),
  );
  const body = bytesOf(recorded, names) ?? null;
  const answer = await request(url + names.toLive(recorded.path), { method: recorded.method, headers, body });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  const kept = Object.keys(recorded.answer.headers).map((name) => [name, String(answer.headers[name])]);
  const type = String(answer.headers["content-type"] ?? "");
  return {
    status: answer.statusCode,
    headers: Object.fromEntries(kept),
    ...(bytes.length > 0 && { body: readBody(bytes, type) }),
  };
}

function readBody(bytes: Buffer, type: string): AnswerBody {
  if (type.includes("json")) return { json: JSON.parse(bytes.toString()) };
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-recorded-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each(["huggingface_hub-1.14.0-xet", "huggingface_hub-2.4.0-lfs", "huggingface_hub-2.4.0-xet"])(
  "%s",
  async (name) => {
    const recording = JSON.parse(await readFile(fixture("hub-requests", `${name}.json`), "utf8")) as Recorded[];
    expect(recording.length).toBeGreaterThan(50);
    const hub = await startHub({
      dir: join(folder, name),
      port: 0,
      tokens: [{ token: "hf_recordedRequests0000", name: "ada", role: "write" }],
    });
    try {
      const names = new Names();
      for (const [index, recorded] of recording.entries()) {
        const live = await send(hub.url, recorded, names);
        learnAll(names, recorded.answer, live);
        const step = `${index}: ${recorded.method} ${recorded.path}`;
        expect({ step, ...live }).toEqual({ step, ...(expectation(names, recorded.answer) as Recorded["answer"]) });
      }
    } finally {
      await hub.close();
    }
  },
);
