/** kill -9 at every step of unpacking: the folder is whole or not there, and a second try makes it whole. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "@jest/globals";
import { packBundle } from "../../src/registry/bundle-pack.ts";
import { unpackBundle } from "../../src/registry/bundle-unpack.ts";
import { contentsOf, sampleFolder, temporaryFolder } from "./bundle-places.ts";

const built = new URL("../../dist/registry/bundle-unpack.js", import.meta.url).href;

/** Ends itself before the n-th change to the disk. */
const script = `
  import fs from "node:fs/promises";
  import { syncBuiltinESMExports } from "node:module";
  const [module, file, folder, last] = process.argv.slice(1);
  let steps = 0;
  const counted = (target, name) => {
    const original = target[name];
    target[name] = function (...given) {
      if (++steps === Number(last)) process.kill(process.pid, "SIGKILL");
      return original.apply(this, given);
    };
  };
  const open = fs.open;
  for (const name of ["mkdir", "rename", "rm"]) counted(fs, name);
  fs.open = async (path, flags, ...rest) => {
    const handle = await open(path, flags, ...rest);
    if (flags === "wx") for (const name of ["writeFile", "sync", "close"]) counted(handle, name);
    return handle;
  };
  syncBuiltinESMExports();
  const { unpackBundle } = await import(module);
  await unpackBundle(file, folder);
  console.log(steps);
`;

function unpackKilledAt(file: string, folder: string, step: number): Promise<string> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, built, file, folder, String(step)]);
  let out = "";
  child.stdout.on("data", (data) => {
    out += data;
  });
  return new Promise((resolve) => child.on("close", (_code, signal) => resolve(signal ?? out.trim())));
}

let file: string;
let whole: Record<string, string>;
let before: string;
beforeAll(async () => {
  const folder = await sampleFolder();
  await packBundle(folder, `${folder}.tgz`);
  file = `${folder}.tgz`;
  whole = await contentsOf(folder);
  before = await sampleFolder({ summary: "Another sample." });
});

test("the folder is absent, as it was, or whole", async () => {
  const free = join(await temporaryFolder(), "target");
  const steps = Number(await unpackKilledAt(file, free, 0));
  expect(await contentsOf(free)).toEqual(whole);
  expect(steps).toBeGreaterThan(15);
  const old = await contentsOf(before);
  const killed = Array.from({ length: steps }, (_, i) => i + 1).filter((step) => step % 4 === 1 || step > steps - 3);
  const outcomes = killed.map(async (step, index) => {
    const target = join(await temporaryFolder(), "target");
    if (index % 2 === 0) await cp(before, target, { recursive: true });
    expect(await unpackKilledAt(file, target, step)).toBe("SIGKILL");
    if (existsSync(target)) expect([old, whole]).toContainEqual(await contentsOf(target));
    await unpackBundle(file, target);
    expect(await contentsOf(target)).toEqual(whole);
  });
  await Promise.all(outcomes);
}, 30_000);
