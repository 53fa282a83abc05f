/** What the API says about a repository as a whole. */
import { cardAt, tagsOf, texts } from "./card.ts";
import type { Repository } from "./store/repository.ts";
import { filesOf } from "./store/trees.ts";

export interface InfoParts {
  /** List the files. */
  readonly siblings: boolean;
  /** With their sizes and digests. */
  readonly blobs: boolean;
}

/** The object that the Hub's API has for a repository at a commit. */
export async function repoInfo(repository: Repository, commit: string, parts: InfoParts) {
  const { objects, fullName, type } = repository;
  const { tree, time } = await objects.readCommit(commit);
  const card = await cardAt(repository, commit);
  const [library] = texts(card.data["library_name"]);
  const [pipeline] = texts(card.data["pipeline_tag"]);
  return {
    _id: repository.id,
    id: fullName,
    ...(type === "model" && { modelId: fullName }),
    author: repository.namespace,
    sha: commit,
    lastModified: new Date(time * 1000).toISOString(),
    createdAt: repository.createdAt,
    private: repository.private,
    gated: repository.gated,
    disabled: false,
    downloads: 0,
    downloadsAllTime: 0,
    likes: 0,
    tags: tagsOf(card),
    ...(library !== undefined && { library_name: library }),
    ...(pipeline !== undefined && { pipeline_tag: pipeline }),
    cardData: card.data,
    ...(type === "space" && { sdk: texts(card.data["sdk"])[0] ?? "static" }),
    ...(parts.siblings && { siblings: await siblings(repository, tree, parts.blobs) }),
  };
}

async function siblings({ objects }: Repository, tree: string, blobs: boolean) {
  const listed = [];
  for (const [rfilename, blobId] of await filesOf(objects, tree)) {
    listed.push(blobs ? { rfilename, blobId, ...(await blobFields(objects, blobId)) } : { rfilename });
  }
  return listed;
}

async function blobFields(objects: Repository["objects"], oid: string) {
  const { size, lfs } = await objects.blobFacts(oid);
  if (lfs === undefined) return { size };
  return { size: lfs.size, lfs: { sha256: lfs.sha256, size: lfs.size, pointerSize: size } };
}
