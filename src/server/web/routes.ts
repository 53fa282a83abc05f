/** A small read-only site for people: what is on this hub, and what each repository holds. */
import { mayRead } from "../access.ts";
import type { Answer } from "../http/answer.ts";
import type { Exchange, RepoExchange, Route } from "../route.ts";
import { splitMessage } from "../store/git-objects.ts";
import { history } from "../store/history.ts";
import type { Repository } from "../store/repository.ts";
import { splitRevision } from "../store/revisions.ts";
import { type Files, filesOf } from "../store/trees.ts";
import type { Html } from "./html.ts";
import { renderCard } from "./markdown.ts";
import { page } from "./page.ts";
import { type CommitRow, type FileRow, type RepositoryRow, repositoryList, repositoryView } from "./views.ts";

const MAX_CARD_BYTES = 256 * 1024;
const MAX_FILES = 1000;
const MAX_COMMITS = 20;
const MAX_REFS = 50;

/** `tree` and `commit` are where the answers of commits and the clients' messages point to. */
export const webRoutes: readonly Route[] = [
  { method: "GET", pattern: "/", access: "open", handle: showList },
  { method: "GET", pattern: "{web}", access: "read", handle: (exchange) => showRepository(exchange, "main") },
  { method: "GET", pattern: "{web}/tree/*", access: "read", handle: showRevision },
  { method: "GET", pattern: "{web}/commit/*", access: "read", handle: showRevision },
];

async function showList({ hub, identity }: Exchange): Promise<Answer> {
  const seen = hub.repositories.list().filter((repository) => mayRead(identity, repository));
  const rows = seen.map(rowOf).sort((a, b) => (a.fullName < b.fullName ? -1 : 1));
  return page("vene hub", repositoryList(rows));
}

function rowOf({ fullName, type, webPath, private: hidden }: Repository): RepositoryRow {
  return { fullName, type, href: webPath, private: hidden };
}

async function showRevision(exchange: RepoExchange): Promise<Answer> {
  return showRepository(exchange, exchange.parameters["rest"] ?? "");
}

/** `rest`: the revision, percent-encoded. A path behind it is ignored: the page shows all files anyway. */
async function showRepository({ repository }: RepoExchange, rest: string): Promise<Answer> {
  const { commit, revision } = await splitRevision(repository, rest);
  const files = await filesOf(repository.objects, (await repository.objects.readCommit(commit)).tree);
  const refs = [...repository.refs.all.keys()]
    .slice(0, MAX_REFS)
    .map((ref) => ref.replace(/^refs\/(heads|tags)\//, ""));
  const view = {
    ...rowOf(repository),
    revision,
    refs: refs.map((name) => ({ name, href: `${repository.webPath}/tree/${encodeURIComponent(name)}` })),
    card: await cardOf(repository, files),
    files: await fileRows(repository, commit, files),
    moreFiles: Math.max(files.size - MAX_FILES, 0),
    commits: await commitRows(repository, commit),
  };
  return page(repository.fullName, repositoryView(view));
}

/** The card, unless it is no ordinary text file or too long to be one that people read. */
async function cardOf({ objects }: Repository, files: Files): Promise<Html | undefined> {
  const oid = files.get("README.md");
  if (oid === undefined) return undefined;
  const { size, lfs } = await objects.blobFacts(oid);
  if (lfs !== undefined || size > MAX_CARD_BYTES) return undefined;
  return renderCard((await objects.readBlob(oid)).toString("utf8"));
}

async function fileRows({ objects, webPath }: Repository, commit: string, files: Files): Promise<FileRow[]> {
  const rows: FileRow[] = [];
  for (const [path, oid] of files) {
    if (rows.length === MAX_FILES) break;
    const { size, lfs } = await objects.blobFacts(oid);
    const href = `${webPath}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
    const digest = lfs === undefined ? `git-sha1:${oid}` : `sha256:${lfs.sha256}`;
    rows.push({ path, href, size: lfs?.size ?? size, digest });
  }
  return rows;
}

async function commitRows({ objects, webPath }: Repository, head: string): Promise<CommitRow[]> {
  const rows: CommitRow[] = [];
  for await (const { oid, message, author, time } of history(objects, head)) {
    const { title } = splitMessage(message);
    rows.push({ oid, href: `${webPath}/commit/${oid}`, title, author, date: new Date(time * 1000) });
    if (rows.length === MAX_COMMITS) break;
  }
  return rows;
}
