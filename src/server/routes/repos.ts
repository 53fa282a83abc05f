/** Making, removing, renaming and setting up repositories. */
import { demandAccess } from "../access.ts";
import { receiveCommit } from "../commit-lines.ts";
import { json } from "../http/answer.ts";
import { type JsonObject, objectsField, optionalString, readJsonObject, stringField } from "../http/body.ts";
import { HttpError } from "../http/http-error.ts";
import { belongsTo } from "../identity.ts";
import type { Exchange, RepoExchange, Route } from "../route.ts";
import { commitTo } from "../store/commit.ts";
import { gatings, type RepoName, type RepoSettings, type Repository, repoTypes } from "../store/repository.ts";
import { authorOf } from "./commit.ts";

export const repoRoutes: readonly Route[] = [
  { method: "POST", pattern: "/api/repos/create", access: "writer", handle: createRepo },
  { method: "DELETE", pattern: "/api/repos/delete", access: "writer", handle: deleteRepo },
  { method: "POST", pattern: "/api/repos/move", access: "writer", handle: moveRepo },
  { method: "PUT", pattern: "{api}/settings", access: "write", handle: changeSettings },
];

async function createRepo(exchange: Exchange) {
  const { hub, endpoint, identity } = exchange;
  const body = await readJsonObject(exchange);
  const where = repoNamed(body, stringField(body, "name"), optionalString(body, "organization") ?? identity.name);
  if (!belongsTo(identity, where.namespace)) {
    throw new HttpError(
      403,
      `You don't have the rights to create a ${where.type} under the namespace "${where.namespace}"`,
    );
  }
  const webPath = `${where.type === "model" ? "" : `/${where.type}s`}/${where.namespace}/${where.name}`;
  const answer = { url: endpoint + webPath, name: `${where.namespace}/${where.name}` };
  const settings = { private: false, gated: false, ...settingsIn(body) } as const;
  const repository = await hub.repositories.create(where, settings, authorOf(identity), answer);
  await commitFirstFiles(exchange, repository, body);
  return json({ ...answer, id: repository.id });
}

/** `files` and `license` of a creation become a second commit. */
async function commitFirstFiles({ hub, identity }: Exchange, repository: Repository, body: JsonObject): Promise<void> {
  const license = optionalString(body, "license");
  const files = Array.isArray(body["files"]) ? objectsField(body, "files") : [];
  const card =
    license === undefined ? [] : [{ path: "README.md", content: `---\nlicense: ${JSON.stringify(license)}\n---\n` }];
  if (files.length + card.length === 0) return;
  const entries = [
    { key: "header", value: { summary: "initial files" } },
    ...[...files, ...card].map((value) => ({ key: "file", value })),
  ];
  async function* lines() {
    for (const entry of entries) yield Buffer.from(JSON.stringify(entry));
  }
  const received = await receiveCommit(lines(), hub, repository);
  const target = () => ({ ref: "refs/heads/main", base: repository.head! });
  await commitTo(repository, target, { ...received, author: authorOf(identity) }, hub.limits.filesPerRevision);
}

async function deleteRepo(exchange: Exchange) {
  const { hub, identity } = exchange;
  const body = await readJsonObject(exchange);
  const where = repoNamed(body, stringField(body, "name"), optionalString(body, "organization") ?? identity.name);
  const found = hub.repositories.get(where.type, where.namespace, where.name);
  const repository = demandAccess(found, identity, "write");
  await hub.repositories.remove(repository);
  await hub.xorbs.drop(repository.id);
  return json({});
}

async function moveRepo(exchange: Exchange) {
  const { hub, endpoint, identity } = exchange;
  const body = await readJsonObject(exchange);
  const from = repoNamed(body, stringField(body, "fromRepo"), undefined);
  const to = repoNamed(body, stringField(body, "toRepo"), undefined);
  const found = demandAccess(hub.repositories.get(from.type, from.namespace, from.name), identity, "write");
  if (!belongsTo(identity, to.namespace)) throw new HttpError(403, `${to.namespace} is not your namespace`);
  const moved = await hub.repositories.move(found, to);
  return json({ url: endpoint + moved.webPath });
}

/** "name" in the given namespace, or "namespace/name"; which of both a client sends differs. */
function repoNamed(body: JsonObject, text: string, namespace: string | undefined): RepoName {
  const wanted = optionalString(body, "type") ?? "model";
  const type = repoTypes.find((candidate) => candidate === wanted);
  if (type === undefined)
    throw new HttpError(400, `there are no repositories of the type ${JSON.stringify(wanted)} here`);
  const parts = text.split("/");
  const name = parts.pop()!;
  const owner = parts.length === 0 ? namespace : parts.join("/");
  if (owner === undefined) throw new HttpError(400, `${JSON.stringify(text)} has no namespace`);
  return { type, namespace: owner, name };
}

async function changeSettings(exchange: RepoExchange) {
  const settings = settingsIn(await readJsonObject(exchange));
  await exchange.repository.changeSettings(settings);
  return json({ private: exchange.repository.private, gated: exchange.repository.gated });
}

function settingsIn(body: JsonObject): Partial<RepoSettings> {
  const { private: isPrivate, visibility, gated } = body;
  if (visibility !== undefined && visibility !== null && visibility !== "public" && visibility !== "private") {
    throw new HttpError(400, `the visibility ${JSON.stringify(visibility)} is not known here: public or private`);
  }
  const gating = gatings.find((choice) => choice === gated);
  if (gated !== undefined && gated !== null && gating === undefined) {
    throw new HttpError(400, `gated is ${JSON.stringify(gated)}, expected false, "auto" or "manual"`);
  }
  return {
    ...(typeof isPrivate === "boolean" && { private: isPrivate }),
    ...(typeof visibility === "string" && { private: visibility === "private" }),
    ...(gating !== undefined && { gated: gating }),
  };
}
