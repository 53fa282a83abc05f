/** Pulls in processes of their own, kills them at chosen moments, and says whether the cache is still sound. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { HostileHub } from "./hostile-hub.ts";

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Only the hub's modules, as built: the command line would spend most of its time loading the runtime. */
const script = `
  const { pullArtefact } = await import(process.argv[1]);
  console.log(JSON.stringify(await pullArtefact(process.argv[2])));
`;

/** `module` is the URL of the built src/hub/pull.ts. */
export function startPull(
  module: string,
  hub: HostileHub,
  cacheFolder: string,
): { child: ChildProcess; exit: Promise<Exit> } {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, module, hub.repo], {
    env: { PATH: process.env["PATH"], HOME: "/nowhere", HF_ENDPOINT: hub.url, HF_HUB_CACHE: cacheFolder },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    err += data;
  });
  const exit = new Promise<Exit>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out, err }));
  });
  return { child, exit };
}

/** What is wrong with a cache that a pull was killed over: files with other bytes, a ref before its files, what Python refuses. */
export function faultsOf(hub: HostileHub, cacheFolder: string): string[] {
  const folder = join(cacheFolder, "models--lab--honest");
  if (!existsSync(folder)) return [];
  const faults: string[] = [];
  const names = readdirSync(folder);
  if (names.includes("blobs") && !names.includes("snapshots")) faults.push("blobs without snapshots");
  const snapshot = join(folder, "snapshots", hub.commit);
  const files = existsSync(snapshot) ? readdirSync(snapshot, { recursive: true, withFileTypes: true }) : [];
  const whole = new Set<string>();
  for (const entry of files) {
    if (entry.isDirectory()) continue;
    const path = relative(snapshot, join(entry.parentPath, entry.name));
    const expected = hub.files.get(path)?.content;
    const found = statSync(join(snapshot, path), { throwIfNoEntry: false }) && readFileSync(join(snapshot, path));
    if (expected === undefined || found === undefined || !found.equals(expected))
      faults.push(`${path} is not what it was`);
    whole.add(path);
  }
  for (const ref of existsSync(join(folder, "refs")) ? readdirSync(join(folder, "refs")) : []) {
    if (ref !== "main") faults.push(`refs/${ref} is no ref`);
    if (readFileSync(join(folder, "refs", ref), "utf8") !== hub.commit) faults.push(`refs/${ref} is damaged`);
    if (whole.size < hub.files.size) faults.push(`refs/${ref} stands for half a snapshot`);
  }
  return faults;
}
