/** The write-only half of xet: what it uploads becomes ordinary LFS objects at once, and downloads never use it. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Answer, json } from "../http/answer.ts";
import { bodyOf, readBody, refuseLonger } from "../http/body.ts";
import { HttpError } from "../http/http-error.ts";
import type { Exchange, RepoExchange, Route } from "../route.ts";
import { moveInto, TooManyBytes, withHandle } from "../scratch.ts";
import type { Repository } from "../store/repository.ts";
import { isHashString } from "./hash.ts";
import { rebuildFile } from "./rebuild.ts";
import { type ShardFile, shardFiles } from "./shard.ts";
import { indexXorb } from "./xorb.ts";

const MAX_XORB_BYTES = 64 * 1024 * 1024;
const MAX_SHARD_BYTES = 64 * 1024 * 1024;
const GRANT = "xet";

/**
 * Python's huggingface_hub sends large files no other way since 1.20. What else it tries (`/v1/chunks`, `/v1/xorb-grants`,
 * `/v2/shards`, telemetry) it can do without: 404. Source: the upload part of the xet protocol specification.
 */
export const xetRoutes: readonly Route[] = [
  { method: "GET", pattern: "{api}/xet-write-token/*", access: "contribute", handle: issueToken },
  { method: "POST", pattern: "/_cas/:store/v1/xorbs/default/:hash", access: "granted", handle: receiveXorb },
  { method: "POST", pattern: "/_cas/:store/v1/shards", access: "granted", handle: receiveShard },
];

/** A token for the caller's store for this repository, and its URL; some clients read the body, others the headers. */
async function issueToken({ hub, endpoint, repository, identity }: RepoExchange): Promise<Answer> {
  const owner = { repository: repository.id, user: identity.name ?? "" };
  const accessToken = hub.grants.issue({ kind: GRANT, ...owner }, hub.limits.uploadMs);
  const exp = Math.floor((Date.now() + hub.limits.uploadMs) / 1000);
  const casUrl = `${endpoint}/_cas/${hub.xorbs.open(owner)}`;
  return json({ accessToken, exp, casUrl }, 200, {
    "x-xet-cas-url": casUrl,
    "x-xet-access-token": accessToken,
    "x-xet-token-expiration": String(exp),
  });
}

/** Keeps a xorb once its chunks add up. Its name is not checked: whoever names it gets what is in it, and sha256 decides. */
async function receiveXorb(exchange: Exchange): Promise<Answer> {
  const { hub, request, parameters } = exchange;
  const { folder } = authorise(exchange);
  const hash = parameters["hash"] ?? "";
  if (!isHashString(hash)) throw new HttpError(400, "a xorb is called by 64 lower-case hex digits");
  refuseLonger(request, MAX_XORB_BYTES);
  const { path, size } = await hub.scratch.receive(bodyOf(request), MAX_XORB_BYTES).catch(refuseTooMany);
  try {
    await withHandle(path, "r", (file) => indexXorb(file, size));
    await moveInto(path, join(folder, hash));
  } catch (cause) {
    await rm(path, { force: true });
    throw cause;
  }
  return json({ was_inserted: true });
}

function refuseTooMany(cause: unknown): never {
  if (cause instanceof TooManyBytes) throw new HttpError(413, `a xorb has at most ${cause.limit} bytes`);
  throw cause;
}

/** Makes every file of the shard an LFS object of the repository, or throws at the first that cannot be made. */
async function receiveShard(exchange: Exchange): Promise<Answer> {
  const { folder, repository } = authorise(exchange);
  const shard = await readBody(exchange, MAX_SHARD_BYTES);
  for (const file of shardFiles(shard)) await storeFile(exchange, folder, repository, file);
  return json({ result: 1 });
}

async function storeFile({ hub, request }: Exchange, folder: string, repository: Repository, file: ShardFile) {
  const { sha256, size } = file;
  if (size > hub.limits.lfsBytes)
    throw new HttpError(413, `a file of ${size} bytes, at most ${hub.limits.lfsBytes} are allowed`);
  if ((await hub.lfs.sizeOf(repository, sha256)) === size) return;
  await hub.lfs.put(repository, whileConnected(request, rebuildFile(folder, file.terms())), { sha256, size });
}

/** A small shard can stand for a very long file: it is not written for a client that has gone. */
async function* whileConnected(request: Exchange["request"], content: AsyncIterable<Uint8Array>) {
  for await (const bytes of content) {
    if (request.socket.destroyed) throw new HttpError(408, "the client went away");
    yield bytes;
  }
}

/** The repository and the store that the token is for. Throws HttpError 401, 403 or 404. */
function authorise({ hub, request, parameters }: Exchange): { repository: Repository; folder: string } {
  const token = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? "")?.[1];
  if (token === undefined) throw new HttpError(401, "this needs the token of a xet-write-token answer");
  const grant = hub.grants.redeem(token, GRANT);
  const repository = hub.repositories.byId(grant.repository);
  if (repository === undefined) throw new HttpError(404, "the repository was deleted");
  const owner = { repository: repository.id, user: String(grant["user"]) };
  return { repository, folder: hub.xorbs.folderOf(parameters["store"] ?? "", owner) };
}
