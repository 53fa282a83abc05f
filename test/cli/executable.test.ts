import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { beforeAll, expect, test } from "@jest/globals";
import { fileOf, HostileHub } from "../support/hostile-hub.ts";
import { honest, repository, scratch, tiny } from "./terminal.ts";

const main = join(repository, "dist", "cli", "main.js");
const cache = scratch();

beforeAll(() => {
  if (!existsSync(main)) throw new Error("dist/cli/main.js is missing: npm run build");
});

function start(argv: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [main, ...argv], { env: { ...process.env, VENE_CACHE: cache } });
}

interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

function ended(child: ChildProcessWithoutNullStreams): Promise<Exit> {
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    err += data;
  });
  return new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out, err }));
  });
}

test("is what package.json names, with its first line", () => {
  const { bin } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
  expect(join(repository, bin.vene)).toBe(main);
  expect(readFileSync(main, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
});

test("answers a prompt from stdin as one JSON object, and ends", async () => {
  const child = start(["generate", "--model", tiny, "--intervention", honest, "--max-new-tokens", "8", "--json"]);
  child.stdin.end("Q: Which is larger, 27 or 7? A:\n");
  const { code, out, err } = await ended(child);
  expect([code, err]).toEqual([0, ""]);
  const { plain, steered } = JSON.parse(out);
  expect([plain.text, steered.text]).toEqual([" 7.", " 27."]);
});

test("exits with the code of its failure", async () => {
  expect(await ended(start(["inspect", "/no/such/path"]))).toMatchObject({ code: 1, out: "" });
  expect(await ended(start(["inspectt"]))).toMatchObject({ code: 2, out: "" });
});

test("a reader that goes away is no failure", async () => {
  const child = start(["inspect", tiny]);
  child.stdout.destroy();
  expect(await ended(child)).toMatchObject({ code: 0, err: "" });
});

test("Ctrl-C ends it at once", async () => {
  const child = start(["generate", "--model", tiny, "--max-new-tokens", "100", "Q:"]);
  const exit = ended(child);
  child.stdin.write("");
  await new Promise((resolve) => setTimeout(resolve, 150));
  const begun = performance.now();
  child.kill("SIGINT");
  const { code, signal } = await exit;
  expect(code === 130 || signal === "SIGINT").toBe(true);
  expect(performance.now() - begun).toBeLessThan(2000);
});

test("Ctrl-C while bytes rush in ends a pull in order", async () => {
  const hub = new HostileHub();
  hub.put("intervention.json", "{}");
  hub.put("intervention.safetensors", Buffer.alloc(80_000_000), true);
  await hub.start();
  const cacheFolder = scratch();
  const env = { PATH: process.env["PATH"], HF_ENDPOINT: hub.url, HF_HUB_CACHE: cacheFolder, HOME: "/nowhere" };
  const child = spawn(process.execPath, [main, "pull", hub.repo], { env });
  hub.instead.resolve = (request, response) => {
    const { content } = fileOf(request, hub)!;
    response.writeHead(200, { "content-length": content.length });
    const pieces = Array.from({ length: Math.ceil(content.length / 65_536) }, (_, i) => i * 65_536);
    const body = Readable.from(pieces.map((from) => content.subarray(from, from + 65_536)));
    body.pipe(response);
    let sent = 0;
    body.on("data", (piece: Buffer) => {
      if (sent < 8_000_000 && sent + piece.length >= 8_000_000) child.kill("SIGINT");
      sent += piece.length;
    });
  };
  const { code, err } = await ended(child);
  hub.stop();
  expect([code, err]).toEqual([130, "error[aborted]: interrupted\n"]);
  const left = readdirSync(cacheFolder, { recursive: true }).map(String);
  expect(left.filter((path) => /incomplete|intervention\.safetensors|refs/.test(path))).toEqual([]);
});

test("--help loads neither the library nor its dependencies", async () => {
  const child = spawn(process.execPath, [
    ...["--import", `data:text/javascript,${encodeURIComponent(tracer)}`, main, "generate", "--help"],
  ]);
  const { code, err } = await ended(child);
  expect(code).toBe(0);
  const loaded = err.split("\n").filter((line) => line.startsWith("loaded "));
  expect(loaded.some((line) => line.includes("/dist/cli/commands/generate.js"))).toBe(true);
  expect(loaded.filter((line) => /dist\/index\.js|zod|onnxruntime|string-width|huggingface/.test(line))).toEqual([]);
});

/** Names every module as it is resolved. */
const tracer = `
import { register } from "node:module";
register("data:text/javascript," + encodeURIComponent(\`
  import { writeSync } from "node:fs";
  export async function load(url, context, next) {
    writeSync(2, "loaded " + url + "\\\\n");
    return next(url, context);
  }
\`));
`;
