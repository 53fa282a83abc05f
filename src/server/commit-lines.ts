/** The lines of a commit request: each file is stored as it comes in, so that only one is in memory. */
import { type JsonObject, jsonObject, objectOf, optionalString, stringField } from "./http/body.ts";
import { HttpError } from "./http/http-error.ts";
import type { Hub } from "./hub.ts";
import type { HubLimits } from "./limits.ts";
import { isFilePath, isSha256 } from "./names.ts";
import type { Change } from "./store/commit.ts";
import { decodePointer, encodePointer } from "./store/lfs-pointer.ts";
import type { Repository } from "./store/repository.ts";

export interface CommitLines {
  readonly title: string;
  readonly description: string;
  readonly parent: string | undefined;
  readonly changes: readonly Change[];
}

type Receive = (value: JsonObject, hub: Hub, repository: Repository) => Promise<Change>;

const receivers: Readonly<Record<Change["kind"], Receive>> = {
  file: receiveFile,
  lfsFile: async (value, hub, repository) => receiveLargeFile(value, hub, repository),
  deletedFile: async (value) => ({ kind: "deletedFile", path: pathOf(value) }),
  deletedFolder: async (value) => ({ kind: "deletedFolder", path: pathOf(value, /\/$/) }),
};

/** Small files are stored side by side, since each waits for the disk; long ones alone, since each fills the memory. */
const AT_ONCE = 16;
const LONG_LINE = 1 << 20;

/** Reads all lines and stores the content of regular files. Throws HttpError 400 or 413. */
export async function receiveCommit(
  lines: AsyncIterable<Uint8Array>,
  hub: Hub,
  repository: Repository,
): Promise<CommitLines> {
  let header: JsonObject | undefined;
  const count = { operations: 0, folders: 0 };
  const changes: Change[] = [];
  let underWay: Promise<Change>[] = [];
  const settle = async () => {
    changes.push(...(await Promise.all(underWay)));
    underWay = [];
  };
  for await (const line of lines) {
    const object = jsonObject(line, `line ${count.operations + 1} of the commit`);
    const key = stringField(object, "key");
    const value = objectOf(object["value"], `"value" of ${key}`);
    if (key === "header") {
      if (header !== undefined) throw new HttpError(400, "the commit has two headers");
      header = value;
      continue;
    }
    if (!isChangeKind(key)) throw new HttpError(400, `a commit has no lines of the kind ${JSON.stringify(key)}`);
    demandRoom(count, key, hub.limits);
    const change = receivers[key](value, hub, repository);
    change.catch(() => undefined); // settle() will say so
    underWay.push(change);
    if (underWay.length === AT_ONCE || line.length > LONG_LINE) await settle();
  }
  await settle();
  if (header === undefined) throw new HttpError(400, "the commit has no header");
  const summary = stringField(header, "summary").trim();
  if (summary === "" || summary.length > 2000) throw new HttpError(400, "the commit's summary is empty or too long");
  const [title = "", ...rest] = summary.split("\n");
  const description = [...rest, optionalString(header, "description") ?? ""].join("\n").trim();
  return { title, description, parent: optionalString(header, "parentCommit"), changes };
}

/** Counts an operation. Throws HttpError 413 when the commit has its fill of them. */
function demandRoom(count: { operations: number; folders: number }, kind: Change["kind"], limits: HubLimits): void {
  if (++count.operations > limits.commitOperations) {
    throw new HttpError(413, `the commit has more than ${limits.commitOperations} operations`);
  }
  if (kind === "deletedFolder" && ++count.folders > limits.commitFolders) {
    throw new HttpError(413, `the commit deletes more than ${limits.commitFolders} folders`);
  }
}

function isChangeKind(key: string): key is Change["kind"] {
  return Object.hasOwn(receivers, key);
}

/** `ending`: what clients write behind the name of a folder. */
function pathOf(value: JsonObject, ending = /$/): string {
  const path = stringField(value, "path").replace(ending, "");
  if (!isFilePath(path)) throw new HttpError(400, `${JSON.stringify(path)} is no path that a file may have`);
  return path;
}

async function receiveFile(value: JsonObject, hub: Hub, repository: Repository): Promise<Change> {
  const path = pathOf(value);
  const content = decodeContent(value, path);
  const pointer = decodePointer(content);
  if (pointer !== undefined) await demandObject(hub, repository, path, pointer.sha256, pointer.size);
  return { kind: "file", path, oid: await repository.objects.writeBlob(content) };
}

function decodeContent(value: JsonObject, path: string): Buffer {
  const content = stringField(value, "content");
  const encoding = optionalString(value, "encoding") ?? "utf-8";
  if (encoding === "utf-8") return Buffer.from(content);
  if (encoding !== "base64") throw new HttpError(400, `${path} has the encoding ${JSON.stringify(encoding)}`);
  const bytes = Buffer.from(content, "base64");
  if (Math.ceil(bytes.length / 3) * 4 !== content.length)
    throw new HttpError(400, `the content of ${path} is not base64`);
  return bytes;
}

async function receiveLargeFile(value: JsonObject, hub: Hub, repository: Repository): Promise<Change> {
  const path = pathOf(value);
  const sha256 = stringField(value, "oid");
  if (stringField(value, "algo") !== "sha256" || !isSha256(sha256))
    throw new HttpError(400, `${path} is not named by its sha256`);
  const size = await demandObject(hub, repository, path, sha256, value["size"]);
  return { kind: "lfsFile", path, oid: await repository.objects.writeBlob(encodePointer({ sha256, size })) };
}

/** Its size, if this very repository was given the object. */
async function demandObject(hub: Hub, repository: Repository, path: string, sha256: string, claimed: unknown) {
  const size = await hub.lfs.sizeOf(repository, sha256);
  if (size === undefined) throw new HttpError(400, `${path}: no large file ${sha256} was uploaded to this repository`);
  if (claimed !== undefined && claimed !== null && claimed !== size) {
    throw new HttpError(400, `${path}: the large file has ${size} bytes, the commit says ${String(claimed)}`);
  }
  return size;
}
