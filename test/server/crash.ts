/** A server process that is killed in the middle of commits, and what must be left of them. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { startHub } from "../../src/server/hub-server.ts";
import { ask, commitBody, fileLine } from "./places.ts";

export interface Crash {
  /** Commits that the server had confirmed before it was killed, over all crashes of the folder. */
  readonly confirmed: number;
  /** Commits that were there afterwards. */
  readonly found: number;
}

/** Starts `vene hub serve` and waits for its address. */
async function serve(main: string, dir: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  if (!existsSync(main)) throw new Error(`${main} is missing: npm run build`);
  const child = spawn(process.execPath, [main, "hub", "serve", "--dir", dir, "--port", "0", "--json"]);
  const url = await new Promise<string>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    child.stdout.once("data", (data: Buffer) => resolve(JSON.parse(data.toString()).url));
    child.stderr.once("data", (data: Buffer) => reject(new Error(data.toString())));
  });
  return { child, url };
}

const post = (url: string, body: object | string) => ask(url, { method: "POST", body });

/** Commit number `n`: a small file and a large one, both of which say their number. */
async function commitNumber(url: string, n: number): Promise<boolean> {
  const large = Buffer.concat([Buffer.from(`${n} `), randomBytes(100_000)]);
  const oid = createHash("sha256").update(large).digest("hex");
  const objects = [{ oid, size: large.length }];
  const batch = await post(`${url}/local/crash.git/info/lfs/objects/batch`, { operation: "upload", objects });
  await ask(batch.json.objects[0].actions.upload.href, { method: "PUT", body: large });
  const lfs = { key: "lfsFile", value: { path: `large/${n}.bin`, algo: "sha256", oid, size: large.length } };
  const body = commitBody([fileLine(`small/${n}.txt`, String(n)), lfs], { summary: `commit ${n}` });
  return (await post(`${url}/api/models/local/crash/commit/main`, body)).status === 200;
}

/**
 * Serves `dir` in a process, sends commits one after the other, kills the process after `delayMs`, and opens the folder again:
 * throws unless every file of the newest commit is whole. `confirmed`: how many there were before.
 */
export async function crash(main: string, dir: string, delayMs: number, confirmed: number): Promise<Crash> {
  const { child, url } = await serve(main, dir);
  const dead = new Promise((resolve) => child.once("exit", resolve));
  await post(`${url}/api/repos/create`, { name: "crash" }); // 409 after the first time
  setTimeout(() => child.kill("SIGKILL"), delayMs);
  let count = confirmed;
  try {
    while (await commitNumber(url, count)) count++;
  } catch {
    // the connection went with the server
  }
  await dead;
  return { confirmed: count, found: await checkFolder(dir) };
}

async function checkFolder(dir: string): Promise<number> {
  const server = await startHub({ dir });
  try {
    const api = `${server.url}/api/models/local/crash`;
    const commits = Number((await ask(`${api}/commits/main?limit=1`)).headers["x-total-count"]) - 1;
    const { siblings } = (await ask(`${api}?blobs=true`)).json;
    if (siblings.length !== 1 + 2 * commits) throw new Error(`${siblings.length} files after ${commits} commits`);
    for (const { rfilename: path, lfs } of siblings) {
      const { body } = await ask(`${server.url}/local/crash/resolve/main/${path}`);
      const number = /(\d+)\./.exec(path)?.[1];
      if (number !== undefined && Number.parseInt(body.toString("latin1"), 10) !== Number(number))
        throw new Error(`${path} is another`);
      const digest = createHash("sha256").update(body).digest("hex");
      if (lfs !== undefined && lfs.sha256 !== digest) throw new Error(`${path} is damaged`);
    }
    return commits;
  } finally {
    await server.close();
  }
}
