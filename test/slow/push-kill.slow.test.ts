/** A push killed at 50 random moments leaves the old version or the new one; run by npm run test:slow. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { expect, test } from "@jest/globals";
import { hubEnvironment } from "../../src/hub/environment.ts";
import { pushFiles } from "../../src/hub/push.ts";
import { parseRepoId } from "../../src/hub/repo-id.ts";
import { ann, ask, hub } from "../server/places.ts";

const built = (name: string) => new URL(`../../build/src/hub/${name}.js`, import.meta.url).href;

/** Files that all say which version they are of: one in the commit itself, two in LFS, one of them in parts. */
const filesOf = (version: number) =>
  [1_000, 300_000, 17_000_000].map((size, i) => ({
    path: `part-${i}.${i === 0 ? "txt" : "safetensors"}`,
    content: Buffer.alloc(size, `version ${version} `),
  }));

const script = `
  const [push, environment, ids, endpoint, token, version] = process.argv.slice(1);
  const { pushFiles } = await import(push);
  const { hubEnvironment } = await import(environment);
  const { parseRepoId } = await import(ids);
  const filesOf = ${filesOf.toString()};
  console.log("ready");
  const content = async () => ({ files: filesOf(Number(version)), remove: [] });
  await pushFiles(hubEnvironment({ endpoint, token }, {}), parseRepoId("ann/killed"), content);
`;

/** Kills a push of that version after so many milliseconds of it, if it was still going on then. */
async function killedPush(url: string, version: number, delayMs: number): Promise<{ killed: boolean; tookMs: number }> {
  const modules = [built("push"), built("environment"), built("repo-id")];
  const args = ["--input-type=module", "-e", script, ...modules, url, ann.token, String(version)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let begun = 0;
  child.stdout.once("data", () => {
    begun = performance.now();
    setTimeout(() => child.kill("SIGKILL"), delayMs).unref();
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once("exit", (...ended) => resolve(ended)),
  );
  if (signal === null && code !== 0) throw new Error(`the push ended with ${code}`);
  return { killed: signal === "SIGKILL", tookMs: performance.now() - begun };
}

/**
 * The version that the Hub has, and how many commits. Throws where files are of different versions, or damaged. Read at one
 * commit: the server may still be at work on what the dead client sent.
 */
async function stateOf(url: string): Promise<{ version: number; commits: number }> {
  const { sha, siblings } = (await ask(`${url}/api/models/ann/killed?blobs=true`)).json;
  const versions = new Set<number>();
  for (const { rfilename, lfs } of siblings) {
    if (rfilename === ".gitattributes") continue;
    const { body } = await ask(`${url}/ann/killed/resolve/${sha}/${rfilename}`);
    if (lfs !== undefined) expect(createHash("sha256").update(body).digest("hex")).toBe(lfs.sha256);
    versions.add(Number(/^version (\d+) /.exec(body.toString("latin1"))?.[1]));
  }
  expect(versions.size).toBe(1);
  const commits = Number((await ask(`${url}/api/models/ann/killed/commits/${sha}?limit=1`)).headers["x-total-count"]);
  return { version: [...versions][0]!, commits };
}

test("41: after each of 50 kills the Hub has the old version or the new one, and the next push finishes", async () => {
  const { url } = await hub();
  const environment = hubEnvironment({ endpoint: url, token: ann.token }, {});
  const push = (version: number) =>
    pushFiles(environment, parseRepoId("ann/killed"), async () => ({ files: filesOf(version), remove: [] }));
  const { tookMs } = await killedPush(url, 0, 1e6);
  let [killed, arrived] = [0, 0];
  let { commits } = await stateOf(url);
  for (let version = 1; version <= 50; version++) {
    if ((await killedPush(url, version, Math.random() * 1.2 * tookMs)).killed) killed++;
    const left = await stateOf(url);
    expect([version - 1, version]).toContain(left.version);
    const { changed } = await push(version);
    if (left.version === version) {
      arrived++;
      expect(changed).toBe(false);
    }
    const finished = await stateOf(url);
    expect(finished).toEqual({ version, commits: commits + 1 });
    ({ commits } = finished);
  }
  process.stderr.write(`push-kill: ${killed} of 50 pushes were killed before they ended, ${arrived} had arrived\n`);
  expect(killed).toBeGreaterThan(10);
});
