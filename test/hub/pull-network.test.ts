/** Pulling from a hostile Hub over a hostile network: every case ends in the right bytes or in a coded error, with nothing kept. */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { isPrivate, redirectTarget } from "../../src/hub/redirects.ts";
import { type Answer, COMMIT, fileOf, gitId, honest, sendJson, sha256Hex } from "../support/hostile-hub.ts";
import { noise, PullBench } from "../support/hub-cache.ts";

let bench: PullBench;
const closers: (() => void)[] = [];
beforeEach(async () => {
  bench = await PullBench.start();
});
afterEach(() => {
  bench.stop();
  for (const close of closers.splice(0)) close();
});

const content = noise(300_000);
const etag = `"${sha256Hex(content)}"`;

/** Answers for the file with the tensors, one per request; the last one again and again. Other files are honest. */
function tensorAnswers(...answers: Answer[]): void {
  let count = 0;
  bench.hub.instead.resolve = (request, response, hub) => {
    if (!request.url!.endsWith(".safetensors")) return honest.resolve(request, response, hub);
    answers[Math.min(count++, answers.length - 1)]!(request, response, hub);
  };
}

/** The ranges that were asked of the file with the tensors. */
function ranges(): (string | undefined)[] {
  return bench.hub.seen.filter(({ line }) => line.endsWith(".safetensors")).map(({ headers }) => headers.range);
}

async function expectRefused(code: string): Promise<void> {
  await expect(bench.pull()).rejects.toMatchObject({ code });
  expect(bench.keptTensors).toEqual([]);
  expect(bench.kept.filter((path) => path.includes("incomplete") || path.includes("refs/"))).toEqual([]);
}

async function expectRightBytes(): Promise<void> {
  const { folder } = await bench.pull();
  expect(readFileSync(join(folder, "intervention.safetensors")).equals(content)).toBe(true);
}

/** Sends the first bytes of the file and then breaks the connection. */
const cutAt =
  (count: number, headers: Record<string, string> = { etag }): Answer =>
  (_, response) => {
    response.writeHead(200, { "content-length": content.length, ...headers });
    response.write(content.subarray(0, count), () => setTimeout(() => response.destroy(), 20));
  };

describe("what the Hub says about files", () => {
  const withEntry = (change: Record<string, unknown>) => {
    bench.hub.instead.tree = (_, response, hub) =>
      sendJson(response, [{ ...hub.entry("intervention.json"), ...change }]);
  };

  test.each([
    "../../x",
    "../../../../tmp/vene-escape",
    "0".repeat(39),
    "0".repeat(41),
    "ABCDEF".repeat(7).slice(2),
    "",
  ])("1: the digest %j in the listing", async (oid) => {
    withEntry({ oid });
    await expectRefused("hub-rejected");
    withEntry({ lfs: { oid, size: 12, pointerSize: 1 } });
    await expectRefused("hub-rejected");
    expect(bench.kept).toEqual([]);
  });

  test("1: the etag ../../x in a header is no part of any path", async () => {
    tensorAnswers(
      (_, response) => void response.writeHead(200, { etag: '"../../x"', "x-linked-etag": '"../../y"' }).end(content),
    );
    await expectRightBytes();
    expect(bench.kept.filter((path) => !path.startsWith("models--lab--honest/"))).toEqual([]);
  });

  test.each(["../../evil", "a".repeat(41), "A".repeat(40), `${"a".repeat(40)}\n`, 7, null, ["x"]])(
    "2: the commit %j",
    async (sha) => {
      bench.hub.instead.revision = (_, response) => sendJson(response, { sha });
      await expectRefused("hub-rejected");
      expect(bench.kept).toEqual([]);
    },
  );

  test.each([
    "../../evil",
    "/abs",
    "C:\\x",
    "C:x",
    "a\\..\\b",
    "a//b",
    "",
    "./a",
    ".git/config",
    "a/.GIT/x",
    "a\u0000b",
    "a\nb",
    "x".repeat(300),
  ])("3: the path %j", async (path) => {
    withEntry({ path });
    await expectRefused("hub-rejected");
    expect(bench.kept).toEqual([]);
  });

  test("3: one path twice, and a file that is also a folder", async () => {
    bench.hub.instead.tree = (_, response, hub) => {
      const entry = hub.entry("intervention.json");
      sendJson(response, [entry, entry]);
    };
    await expectRefused("hub-rejected");
  });

  test.each([-1, 1.5, "12", 2 ** 53, null])("13: the size %j", async (size) => {
    withEntry({ size });
    await expectRefused("hub-rejected");
  });
});

describe("bodies", () => {
  test("4: a chunked body that is too short", async () => {
    tensorAnswers((_, response) => void response.writeHead(200, { etag }).end(content.subarray(0, 299_999)));
    await expectRefused("hub-unreachable");
  });

  test("4: a short one is completed by the next request", async () => {
    tensorAnswers(
      (_, response) => void response.writeHead(200, { etag }).end(content.subarray(0, 200_000)),
      honest.resolve,
    );
    await expectRightBytes();
    expect(ranges()).toEqual([undefined, "bytes=200000-"]);
  });

  test("5: the right length and wrong bytes", async () => {
    const wrong = Buffer.from(content);
    wrong[150_000]! ^= 1;
    tensorAnswers((_, response) => void response.writeHead(200, { "content-length": wrong.length }).end(wrong));
    await expectRefused("hub-integrity");
  });

  test("5: of a file that is not in LFS", async () => {
    bench.hub.instead.resolve = (_, response) => void response.writeHead(200).end('{"format":2}');
    await expectRefused("hub-integrity");
  });

  test("5: too many bytes, announced and not", async () => {
    tensorAnswers((_, response) => void response.writeHead(200, { "content-length": 300_001 }).end(noise(300_001)));
    await expectRefused("hub-integrity");
    tensorAnswers((_, response) => {
      response.writeHead(200);
      const endless = () => {
        while (!response.destroyed && response.write(content)) {}
      };
      response.on("drain", endless);
      endless();
    });
    await expectRefused("hub-integrity");
  });

  test("6: a reset in the middle is resumed where it broke", async () => {
    tensorAnswers(cutAt(100_000), honest.resolve);
    await expectRightBytes();
    expect(ranges()).toEqual([undefined, "bytes=100000-"]);
    const resumed = bench.hub.seen.findLast(({ line }) => line.endsWith(".safetensors"));
    expect(resumed!.headers["if-range"]).toBe(etag);
  });

  test("6: without a strong ETag it starts over", async () => {
    tensorAnswers(cutAt(100_000, { etag: 'W/"weak"' }), honest.resolve);
    await expectRightBytes();
    expect(ranges()).toEqual([undefined, undefined]);
  });

  test("6: resets without end are given up", async () => {
    tensorAnswers(cutAt(1000));
    await expectRefused("hub-unreachable");
    expect(ranges().length).toBe(4);
  });

  test("7: a server that falls silent, in a body and before an answer", async () => {
    const silent: Answer = (_, response) => void response.writeHead(200, { etag }).write(content.subarray(0, 1000));
    tensorAnswers(silent);
    await expect(bench.pull({}, { tries: 2, downloadTimeoutMs: 100 })).rejects.toMatchObject({
      code: "hub-unreachable",
      details: { system: "UND_ERR_BODY_TIMEOUT" },
    });
    expect(bench.keptTensors).toEqual([]);
    bench.hub.instead.revision = () => undefined;
    await expect(bench.pull({}, { tries: 2, etagTimeoutMs: 100 })).rejects.toMatchObject({
      code: "hub-unreachable",
      details: { system: "UND_ERR_HEADERS_TIMEOUT" },
    });
  });

  test("8: 503 and 429 while downloading, with Retry-After and without; never waited for are 1e9 seconds", async () => {
    const busy =
      (status: number, headers = {}): Answer =>
      (_, response) =>
        void response.writeHead(status, headers).end();
    tensorAnswers(
      busy(503),
      busy(429, { "retry-after": "0" }),
      busy(503, { "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT" }),
      honest.resolve,
    );
    await expectRightBytes();
    bench.stop();
    bench = await PullBench.start();
    tensorAnswers(busy(429, { "retry-after": "1000000000" }));
    await expectRefused("hub-unreachable");
    expect(ranges().length).toBe(1);
  });

  test.each<[string, Answer]>([
    [
      "206 with another range",
      (_, response) =>
        void response.writeHead(206, { etag, "content-range": "bytes 5-299999/300000" }).end(content.subarray(5)),
    ],
    [
      "206 with another total",
      (_, response) =>
        void response
          .writeHead(206, { etag, "content-range": "bytes 100000-299999/300001" })
          .end(content.subarray(100_000)),
    ],
    ["206 without a range", (_, response) => void response.writeHead(206, { etag }).end(content.subarray(100_000))],
    ["200 with everything", (_, response) => void response.writeHead(200, { etag }).end(content)],
    ["416", (_, response) => void response.writeHead(416).end()],
  ])("9: %s to a request for the rest", async (_, answer) => {
    tensorAnswers(cutAt(100_000), answer, honest.resolve);
    await expectRightBytes();
    expect(ranges()[1]).toBe("bytes=100000-");
    expect(ranges()[2]).toBeUndefined();
  });

  test("9: 206 and 416 to a request for everything", async () => {
    tensorAnswers(
      (_, response) => void response.writeHead(206, { "content-range": "bytes 0-299999/300000" }).end(content),
    );
    await expectRefused("hub-unreachable");
    tensorAnswers((_, response) => void response.writeHead(416).end("no"));
    await expectRefused("hub-rejected");
  });

  test("12: compressed bytes that nobody asked for, and a length that is not true", async () => {
    tensorAnswers((_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(content)));
    await expectRefused("hub-rejected");
    bench.hub.instead.tree = (_, response) => {
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(50_000_000)));
    };
    await expectRefused("hub-rejected");
    bench.hub.instead.tree = (_, response) => {
      response.writeHead(200, { "content-length": 1000 }).write("[]", () => response.destroy());
    };
    await expectRefused("hub-unreachable");
  });

  test("14: the file changes between listing and download", async () => {
    tensorAnswers(
      (_, response) =>
        void response.writeHead(200, { etag: `"${sha256Hex(noise(300_000, 2))}"` }).end(noise(300_000, 2)),
    );
    await expectRefused("hub-integrity");
    tensorAnswers(cutAt(100_000), (request, response) => {
      // Another file since: If-Range fails, so all of it comes.
      expect(request.headers["if-range"]).toBe(etag);
      response.writeHead(200, { etag: '"other"' }).end(noise(300_000, 2));
    });
    await expectRefused("hub-integrity");
  });

  test("15: the branch moves between the commit and the files", async () => {
    bench.hub.instead.revision = (_, response, hub) => {
      sendJson(response, { sha: hub.commit });
      hub.commit = "f".repeat(40);
    };
    const { commit } = await bench.pull();
    expect(commit).toBe(COMMIT);
    const after = bench.hub.seen.slice(1).map(({ line }) => line);
    expect(after.length).toBe(4);
    expect(after.filter((line) => !line.includes(COMMIT))).toEqual([]);
  });

  test("18: a captive portal's page in place of JSON, and of a file", async () => {
    const page = "<!doctype html><title>Sign in</title>";
    const portal: Answer = (_, response) =>
      void response.writeHead(200, { "content-type": "text/html", "content-length": page.length }).end(page);
    tensorAnswers(portal);
    await expectRefused("hub-integrity");
    bench.hub.instead.revision = portal;
    await expect(bench.pull()).rejects.toMatchObject({
      code: "hub-rejected",
      message: expect.stringContaining("answered with a web page"),
    });
  });
});

describe("redirects", () => {
  /** A second origin, as a Hub's storage is. */
  async function storage(answer: Answer): Promise<{ url: string; tokens: (string | undefined)[] }> {
    const tokens: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      tokens.push(request.headers.authorization);
      answer(request, response, bench.hub);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    closers.push(() => {
      server.close();
      server.closeAllConnections();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tokens };
  }

  const to =
    (location: string): Answer =>
    (_, response) =>
      void response.writeHead(302, { location, "x-linked-etag": etag }).end();

  test("10: to a storage are followed, without the token", async () => {
    const { url, tokens } = await storage((_, response) => void response.writeHead(200).end(content));
    tensorAnswers(to(`${url}/signed?secret=1`));
    await expectRightBytes();
    expect(tokens).toEqual([undefined]);
    expect(bench.hub.seen.every(({ headers }) => headers.authorization === "Bearer secret-token")).toBe(true);
  });

  test("10: in a circle, to a file, into the cloud's metadata and to nowhere", async () => {
    for (const location of [
      "/lab/honest/resolve/x/y.safetensors",
      "file:///etc/passwd",
      "http://169.254.169.254/latest",
      "http://[",
      "http://me:pw@127.0.0.1/x",
    ]) {
      tensorAnswers(to(location));
      await expectRefused("hub-rejected");
    }
  });

  test("10: never to http from https, never from outside to inside", () => {
    const hub = new URL("https://huggingface.co/x");
    expect(redirectTarget(hub, "https://cdn.example/y").href).toBe("https://cdn.example/y");
    expect(redirectTarget(hub, "/y").href).toBe("https://huggingface.co/y");
    const inside = [
      "https://10.0.0.1/",
      "https://localhost/",
      "https://127.1/",
      "https://0x7f000001/",
      "https://[::1]/",
    ];
    const others = ["https://[::ffff:127.0.0.1]/", "https://192.168.1.1/", "https://[fd00::1]/", "http://cdn.example/"];
    for (const location of [...inside, ...others]) {
      expect(() => redirectTarget(hub, location)).toThrow(expect.objectContaining({ code: "hub-rejected" }));
    }
    expect(["172.16.0.1", "172.32.0.1", "8.8.8.8", "100.64.0.1", "hub.example"].map(isPrivate)).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  test("19: a signed address that has expired is not used again", async () => {
    let signature = 0;
    const { url } = await storage((request, response) => {
      const { searchParams } = new URL(request.url!, bench.hub.url);
      if (searchParams.get("signature") !== String(signature)) return void response.writeHead(403).end();
      if (signature === 1) return cutAt(100_000, { etag: '"stored"' })(request, response, bench.hub);
      expect(request.headers.range).toBe("bytes=100000-");
      response.writeHead(206, { etag: '"stored"', "content-range": "bytes 100000-299999/300000" });
      response.end(content.subarray(100_000));
    });
    tensorAnswers((request, response) => to(`${url}/file?signature=${++signature}`)(request, response, bench.hub));
    await expectRightBytes();
    expect(signature).toBe(2);
  });
});

describe("listings", () => {
  test("11: a next page elsewhere, the same page again, and pages without end", async () => {
    const next = (link: () => string): void => {
      bench.hub.instead.tree = (_, response) => {
        response.setHeader("link", `<${link()}>; rel="next"`);
        sendJson(response, []);
      };
    };
    next(() => "http://127.0.0.2:9/api/next");
    await expectRefused("hub-rejected");
    next(() => `${bench.hub.url}/api/models/lab/honest/tree/${COMMIT}?recursive=true`);
    await expectRefused("hub-rejected");
    let page = 0;
    next(() => `${bench.hub.url}/api/models/lab/honest/tree/${COMMIT}?cursor=${page++}`);
    await expectRefused("hub-rejected");
    expect(page).toBe(200);
  });

  const entry = () => JSON.stringify(bench.hub.entry("intervention.json"));

  test.each<[string, () => string | Buffer]>([
    ["10^6 deep", () => "[".repeat(1e6)],
    ["with a duplicate key", () => `[${entry().replace("{", '{"path":"x",')}]`],
    ["with NaN", () => `[${entry().replace('"size":12', '"size":NaN')}]`],
    ["with 2^53+1", () => `[${entry().replace('"size":12', '"size":9007199254740993')}]`],
    ["with __proto__ in place of fields", () => `[{"__proto__":${entry()}}]`],
    ["with constructor in place of fields", () => `[{"constructor":${entry()}}]`],
    ["with a byte order mark", () => `\ufeff[${entry()}]`],
    ["with a lone surrogate in a path", () => `[${entry().replace('"intervention.json"', '"\\ud800"')}]`],
    ["that is not UTF-8", () => Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d])],
    ["that is no list", () => `{"files":[${entry()}]}`],
    ["of things that are no entries", () => '[1,null,"x",[]]'],
    ["of nothing", () => ""],
  ])("13: JSON %s", async (_, text) => {
    bench.hub.instead.tree = (_request, response) => void response.writeHead(200).end(text());
    await expectRefused("hub-rejected");
    expect(bench.kept).toEqual([]);
  });

  test("13: JSON without end", async () => {
    bench.hub.instead.tree = (_, response) => {
      response.writeHead(200);
      response.write("[");
      const spaces = Buffer.alloc(1 << 20, " ");
      const endless = () => {
        while (!response.destroyed && response.write(spaces)) {}
      };
      response.on("drain", endless);
      endless();
    };
    await expectRefused("hub-rejected");
  });

  test("13: keys of Object.prototype as file names are only names", async () => {
    for (const name of ["__proto__", "constructor", "toString"]) bench.hub.put(name, "x");
    await bench.pull();
    expect(JSON.parse(readFileSync(join(bench.folder, `trees/${COMMIT}.json`), "utf8")).files.toString.size).toBe(1);
    bench.hub.seen.splice(0);
    expect((await bench.pull()).files.every(({ cached }) => cached)).toBe(true);
    expect(existsSync(join(bench.folder, "blobs", gitId(Buffer.from("x"))))).toBe(false);
  });
});

test("empty files are pulled, too", async () => {
  bench.hub.put("README.md", "");
  const { folder } = await bench.pull();
  expect(readFileSync(join(folder, "README.md"), "utf8")).toBe("");
  expect(fileOf({ url: "/resolve/x/README.md" } as never, bench.hub)!.content.length).toBe(0);
});
