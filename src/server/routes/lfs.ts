/** Large files: the batch call that hands out upload URLs, the uploads themselves, and the check after them. */
import { empty, json, text } from "../http/answer.ts";
import { bodyOf, countField, type JsonObject, objectsField, readJsonObject, stringField } from "../http/body.ts";
import { HttpError } from "../http/http-error.ts";
import type { LfsObject } from "../lfs-store.ts";
import { completeParts, newUpload, partCount, receivePart } from "../multipart.ts";
import { isSha256 } from "../names.ts";
import type { Exchange, RepoExchange, Route } from "../route.ts";
import type { Repository } from "../store/repository.ts";

export const lfsRoutes: readonly Route[] = [
  { method: "POST", pattern: "{web}.git/info/lfs/objects/batch", access: "contribute", handle: batch },
  { method: "POST", pattern: "{web}.git/info/lfs/objects/verify", access: "contribute", handle: verify },
  { method: "PUT", pattern: "/_lfs/:grant", access: "granted", handle: putObject },
  { method: "PUT", pattern: "/_lfs/:grant/:part", access: "granted", handle: putPart },
  { method: "POST", pattern: "/_lfs/:grant/complete", access: "granted", handle: complete },
];

const LFS_JSON = "application/vnd.git-lfs+json";
const MAX_OBJECTS = 1000;
/** Each is a URL of some 300 bytes in the answer. */
const MAX_PARTS = 50_000;

async function batch(exchange: RepoExchange) {
  const { hub, repository } = exchange;
  const body = await readJsonObject(exchange);
  if (body["operation"] !== "upload") throw new HttpError(400, "this server hands out LFS uploads only");
  const transfers = Array.isArray(body["transfers"]) ? body["transfers"] : ["basic"];
  const objects = objectsField(body, "objects").map(lfsObject);
  if (objects.length > MAX_OBJECTS)
    throw new HttpError(413, `${objects.length} objects, ${MAX_OBJECTS} are allowed at once`);
  const inParts = ({ size }: LfsObject) =>
    transfers.includes("multipart") && size > hub.limits.partBytes && size <= hub.limits.lfsBytes;
  const parts = objects.filter(inParts).reduce((sum, { size }) => sum + partCount(size, hub.limits.partBytes), 0);
  if (parts > MAX_PARTS) throw new HttpError(413, `the objects have ${parts} parts, ${MAX_PARTS} are allowed at once`);
  const answers = [];
  for (const object of objects) {
    const { sha256: oid, size } = object;
    if (size > hub.limits.lfsBytes) {
      const message = `${oid} has ${size} bytes, files may have ${hub.limits.lfsBytes}`;
      answers.push({ oid, size, error: { code: 422, message } });
    } else if ((await hub.lfs.sizeOf(repository, oid)) === size) {
      answers.push({ oid, size });
    } else {
      answers.push({ oid, size, authenticated: true, actions: actionsFor(exchange, object, inParts(object)) });
    }
  }
  const answer = { transfer: parts > 0 ? "multipart" : "basic", hash_algo: "sha256", objects: answers };
  return text(JSON.stringify(answer), LFS_JSON);
}

function lfsObject(body: JsonObject): LfsObject {
  const sha256 = stringField(body, "oid");
  if (!isSha256(sha256)) throw new HttpError(422, `${JSON.stringify(sha256).slice(0, 100)} is no sha256`);
  return { sha256, size: countField(body, "size") };
}

function actionsFor({ hub, repository, endpoint }: RepoExchange, { sha256, size }: LfsObject, inParts: boolean) {
  const grant = {
    kind: inParts ? "lfs-parts" : "lfs",
    repository: repository.id,
    sha256,
    size,
    ...(inParts && newUpload()),
  };
  const href = `${endpoint}/_lfs/${hub.grants.issue(grant, hub.limits.uploadMs)}`;
  const verifyHref = `${endpoint}${repository.webPath}.git/info/lfs/objects/verify`;
  return {
    upload: inParts ? { href: `${href}/complete`, header: partUrls(href, size, hub.limits.partBytes) } : { href },
    verify: { href: verifyHref },
  };
}

/** The Hub's way to name parts: keys "00001", "00002", ... beside "chunk_size". */
function partUrls(href: string, size: number, partBytes: number): Record<string, string> {
  const header: Record<string, string> = { chunk_size: String(partBytes) };
  for (let part = 1; part <= partCount(size, partBytes); part++)
    header[String(part).padStart(5, "0")] = `${href}/${part}`;
  return header;
}

/** What an upload URL is for. Throws HttpError 403 (no good) or 404 (its repository is gone). */
function redeem({ hub, parameters }: Exchange, kind: string) {
  const grant = hub.grants.redeem(parameters["grant"] ?? "", kind);
  const repository: Repository | undefined = hub.repositories.byId(grant.repository);
  if (repository === undefined)
    throw new HttpError(404, "the repository of this upload is gone", { errorCode: "RepoNotFound" });
  const object: LfsObject = { sha256: String(grant["sha256"]), size: Number(grant["size"]) };
  return { repository, object, upload: String(grant["upload"]) };
}

async function putObject(exchange: Exchange) {
  const { hub, request } = exchange;
  const { repository, object } = redeem(exchange, "lfs");
  refuseOtherLength(exchange, object.size);
  await hub.lfs.put(repository, bodyOf(request), object);
  return empty(200, { etag: `"${object.sha256}"` });
}

async function putPart(exchange: Exchange) {
  const { object, upload } = redeem(exchange, "lfs-parts");
  const part = Number(/^\d{1,5}$/.exec(exchange.parameters["part"] ?? "")?.[0] ?? 0);
  const etag = await receivePart(exchange, upload, object, part);
  return empty(200, { etag: `"${etag}"` });
}

async function complete(exchange: Exchange) {
  const { repository, object, upload } = redeem(exchange, "lfs-parts");
  const parts = objectsField(await readJsonObject(exchange), "parts").map((part) => countField(part, "partNumber"));
  await completeParts(exchange.hub, repository, upload, object, parts);
  return text(JSON.stringify({ success: true }), LFS_JSON);
}

/** A body whose announced length cannot be right is not even read. */
function refuseOtherLength({ request }: Exchange, size: number): void {
  const announced = request.headers["content-length"];
  if (announced !== undefined && Number(announced) !== size) {
    throw new HttpError(
      Number(announced) > size ? 413 : 400,
      `the body has ${announced} bytes, the upload is for ${size}`,
    );
  }
}

async function verify(exchange: RepoExchange) {
  const { hub, repository } = exchange;
  const { sha256, size } = lfsObject(await readJsonObject(exchange));
  const stored = await hub.lfs.sizeOf(repository, sha256);
  if (stored !== size) throw new HttpError(404, `no object ${sha256} of ${size} bytes is stored`);
  return json({});
}
