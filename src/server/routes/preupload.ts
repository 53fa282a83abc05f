/** Before an upload: which files go into the commit itself and which to LFS, and what is there already. */
import { json } from "../http/answer.ts";
import { countField, objectsField, readJsonObject, stringField } from "../http/body.ts";
import { HttpError } from "../http/http-error.ts";
import { isFilePath } from "../names.ts";
import type { RepoExchange, Route } from "../route.ts";
import { isLfsPath } from "../store/first-commit.ts";
import { splitRevision } from "../store/revisions.ts";
import { filesOf } from "../store/trees.ts";

export const preuploadRoutes: readonly Route[] = [
  { method: "POST", pattern: "{api}/preupload/*", access: "contribute", handle: preupload },
];

/** Files of this many bytes are large whatever they are called, as on the Hub. */
const LARGE = 10 * (1 << 20);
const MAX_FILES = 1000;

async function preupload(exchange: RepoExchange) {
  const { repository, parameters } = exchange;
  const { objects } = repository;
  const wanted = objectsField(await readJsonObject(exchange), "files");
  if (wanted.length > MAX_FILES)
    throw new HttpError(413, `${wanted.length} files were asked about, ${MAX_FILES} are allowed`);
  const { commit } = await splitRevision(repository, parameters["rest"] ?? "");
  const present = await filesOf(objects, (await objects.readCommit(commit)).tree);
  const files = [];
  for (const file of wanted) {
    const path = stringField(file, "path");
    if (!isFilePath(path)) throw new HttpError(400, `${JSON.stringify(path)} is no path that a file may have`);
    const size = countField(file, "size");
    const blob = present.get(path);
    const facts = blob === undefined ? undefined : await objects.blobFacts(blob);
    const uploadMode = size > 0 && (size > LARGE || isLfsPath(path)) ? "lfs" : "regular";
    const oid = facts?.lfs?.sha256 ?? blob;
    files.push({ path, uploadMode, shouldIgnore: false, ...(oid !== undefined && { oid }) });
  }
  return json({ files });
}
