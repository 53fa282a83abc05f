/** Opening a hub's folder: making a new one, or recovering what a killed server left. */
import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../base/atomic.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import { lockFolder } from "./folder-lock.ts";
import type { Hub } from "./hub.ts";
import { LfsStore } from "./lfs-store.ts";
import type { HubLimits } from "./limits.ts";
import { Scratch } from "./scratch.ts";
import { Repositories } from "./store/repositories.ts";
import { UploadGrants } from "./upload-grants.ts";
import { XorbStores } from "./xet/xorb-stores.ts";

export interface OpenHub {
  readonly hub: Hub;
  /** Lets another server have the folder. */
  close(): Promise<void>;
}

/** Throws `server-usage` (the folder is something else) or `server-storage` (locked, damaged, not writable). */
export async function openHub(folder: string, limits: HubLimits, readOnly: boolean): Promise<OpenHub> {
  const known = await readHubId(folder);
  const unlock = await lockFolder(folder);
  try {
    const scratch = new Scratch(join(folder, "scratch"));
    await scratch.recover();
    const id = known ?? (await writeHubId(folder, scratch));
    const repositories = new Repositories(folder, scratch);
    await repositories.load();
    const lfs = new LfsStore(scratch);
    const [grants, xorbs] = [new UploadGrants(), new XorbStores(scratch)];
    return { hub: { id, folder, repositories, lfs, scratch, grants, xorbs, limits, readOnly }, close: unlock };
  } catch (cause) {
    await unlock();
    throw asStorageFault(folder, cause);
  }
}

const FILE = "hub.json";

/** undefined for a folder that is new or empty. Anything else that is not a hub's must not be touched. */
async function readHubId(folder: string): Promise<string | undefined> {
  let names: string[];
  try {
    await makeFolder(folder);
    names = await readdir(folder);
  } catch (cause) {
    throw asStorageFault(folder, cause);
  }
  const ours = new Set([FILE, "hub.lock", "scratch"]);
  if (names.every((name) => ours.has(name) && name !== FILE)) return undefined;
  const text = await readFile(join(folder, FILE), "utf8").catch(() => undefined);
  if (text === undefined) {
    throw new VeneError("server-usage", `${folder} holds other things than a hub`, {
      hint: "name an empty folder, or one that was made by this command",
      details: { folder },
    });
  }
  const value = parseJson(text, { name: join(folder, FILE) }) as { hub?: unknown; id?: unknown };
  if (value?.hub !== 1 || typeof value.id !== "string") {
    throw new VeneError("server-storage", `${join(folder, FILE)} is not what this version of vene writes`, {
      hint: "use the version that made the folder, or a newer one",
      details: { folder },
    });
  }
  return value.id;
}

async function writeHubId(folder: string, scratch: Scratch): Promise<string> {
  const id = randomUUID();
  await scratch.writeTo(join(folder, FILE), `${JSON.stringify({ hub: 1, id })}\n`);
  return id;
}

function asStorageFault(folder: string, cause: unknown): VeneError {
  if (cause instanceof VeneError) return cause;
  return new VeneError("server-storage", `cannot use ${folder} as a hub's folder: ${messageOf(cause)}`, {
    hint: "check that it is a folder, writable, on a disk with space",
    details: { folder, system: systemCodeOf(cause) },
    cause,
  });
}
