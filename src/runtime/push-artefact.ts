/** Pushes interventions to the Hub: a folder, or one in memory, as exactly the files an artefact consists of. */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Artefact } from "../artefact/artefact.ts";
import type { CardSample } from "../artefact/card-body.ts";
import { mergeFrontMatter } from "../artefact/card-front-matter.ts";
import { cardsDisagree, decodeCard, MAX_CARD_BYTES, mergeCards } from "../artefact/card-text.ts";
import {
  belongsToArtefact,
  cardFileName,
  isKeyFile,
  listFolder,
  MAX_JSON_BYTES,
  manifestFileName,
  pyveneFileName,
} from "../artefact/folder.ts";
import { artefactFiles, readCard } from "../artefact/read.ts";
import { readSmallFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import { parseJson } from "../formats/json.ts";
import { type HubOptions, hubEnvironment } from "../hub/environment.ts";
import { type PushOptions, type PushResult, pushFiles, type RemoteFiles } from "../hub/push.ts";
import type { PushFile } from "../hub/push-digests.ts";
import { parseRepoId } from "../hub/repo-id.ts";
import { parseManifest, tensorsFileName } from "../spec/manifest.ts";
import { readArtefact } from "./read-artefact.ts";

export interface PushArtefactOptions extends PushOptions {
  /** Recorded in place of the artefact's licence: an id such as "apache-2.0". */
  readonly license?: string | undefined;
  readonly hub?: HubOptions | undefined;
}

export const pushOptionNames = [
  "private",
  "message",
  "createPr",
  "tags",
  "license",
  "revision",
  "hub",
  "signal",
  "onProgress",
] as const satisfies readonly (keyof PushArtefactOptions)[];

/** What was pushed, and sentences worth telling the user. */
export interface PushedArtefact extends PushResult {
  readonly notices: readonly string[];
}

/** Files larger than this are read from disk while they are sent, rather than held in memory. */
const HELD_BYTES = 64 << 20;
/** A config of pyvene is far smaller; more is not read to find out whether it is one. */
const MAX_CONFIG_BYTES = 8 << 20;

/**
 * Pushes the artefact in a folder to "org/name" in one commit: its manifest and tensors as they are, the card with the user's
 * text of the folder's README.md or the repository's, and what pyvene loads where the folder has that. Nothing else in the folder
 * is looked at. Files of an earlier version that are vene's and no longer needed are deleted. What is there already is not
 * committed again. Throws what {@link readArtefact} throws, `card-invalid`, `hub-conflict` for a repository that holds something
 * else or changed meanwhile, `hub-integrity`, `hub-unauthorized` and others of the hub.
 */
export async function pushArtefact(
  folder: string,
  repo: string,
  options: PushArtefactOptions = {},
): Promise<PushedArtefact> {
  checkKeys("push's options", options, pushOptionNames, "usage");
  const { artefact, source, notices } = await readArtefact(folder);
  const found = (await listFolder(folder)) ?? [];
  await refuseLinks(folder, found);
  const readme = await readCard(folder);
  const others = found.filter((name) => !belongsToArtefact(name));
  const left =
    others.length === 0 ? [] : [`not pushed: ${others.slice(0, 8).join(", ")}${others.length > 8 ? ", ..." : ""}`];
  const licensed = withLicense(artefact, options.license);
  const pushed = await pushPrepared(repo, options, {
    artefact: licensed,
    pyvene: found.includes(pyveneFileName),
    readme,
    samples: undefined,
    onDisk: source === "format1" ? await filesOnDisk(folder, artefact, licensed === artefact) : new Map(),
  });
  return { ...pushed, notices: [...notices, ...left, ...pushed.notices] };
}

/** Pushes an artefact that is in memory, as {@link pushArtefact} does. */
export async function pushInMemory(
  artefact: Artefact,
  repo: string,
  options: PushArtefactOptions,
  { pyvene, samples }: { readonly pyvene: boolean; readonly samples: readonly CardSample[] | undefined },
): Promise<PushedArtefact> {
  const licensed = withLicense(artefact, options.license);
  return pushPrepared(repo, options, { artefact: licensed, pyvene, readme: undefined, samples, onDisk: new Map() });
}

interface Prepared {
  readonly artefact: Artefact;
  readonly pyvene: boolean;
  /** README.md of the folder. */
  readonly readme: string | undefined;
  readonly samples: readonly CardSample[] | undefined;
  /** Files that go as they are, in place of what would be written today. */
  readonly onDisk: ReadonlyMap<string, PushFile>;
}

async function pushPrepared(repo: string, options: PushArtefactOptions, prepared: Prepared): Promise<PushedArtefact> {
  const { license: _license, hub, ...rest } = options;
  const { name } = prepared.artefact.manifest;
  const notices: string[] = [];
  const result = await pushFiles(
    hubEnvironment(hub ?? {}),
    parseRepoId(repo),
    async (root) => {
      await refuseOthers(root);
      const content = await contentFor(root, prepared);
      notices.push(...content.notices);
      return content;
    },
    { ...rest, message: rest.message ?? `Upload the intervention ${name} with vene` },
  );
  return { ...result, notices };
}

async function contentFor(root: RemoteFiles, { artefact, pyvene, readme, samples, onDisk }: Prepared) {
  const bytes = await root.read(cardFileName, MAX_CARD_BYTES);
  const remote = bytes === undefined ? undefined : decodeCard(bytes, `${cardFileName} of ${root.repo.name}`);
  const before = mergeCards(readme, remote, mergeFrontMatter);
  const { files, notices } = artefactFiles(artefact, { pyvene, before, samples, repo: root.repo.name });
  const pushed = [...files].map(
    ([path, content]): PushFile =>
      onDisk.get(path) ?? { path, content: typeof content === "string" ? Buffer.from(content) : content },
  );
  const lost = `the text in ${cardFileName} of ${root.repo.name} was replaced by the folder's; its history has it`;
  return {
    files: pushed,
    remove: [...root.files.keys()].filter((path) => belongsToArtefact(path) && !files.has(path)),
    notices: cardsDisagree(readme, remote) ? [...notices, lost] : notices,
  };
}

/** A model's repository has files of the same names, and keeps them. Throws `hub-conflict`. */
async function refuseOthers({ repo, files, read }: RemoteFiles): Promise<void> {
  const paths = [...files.keys()];
  if (paths.includes(manifestFileName) || paths.some(isKeyFile)) return;
  const weights = paths.find((path) => /\.(safetensors|gguf|bin|onnx|pt|h5)$/.test(path));
  const config = weights === undefined ? await read(pyveneFileName, MAX_CONFIG_BYTES) : undefined;
  const foreign = config !== undefined && !Buffer.from(config).toString("latin1").includes("representations");
  if (weights === undefined && !foreign) return;
  throw new VeneError("hub-conflict", `${repo.name} holds something else: ${weights ?? pyveneFileName}`, {
    hint: "push an intervention to a repository of its own",
    details: { repo: repo.name, found: paths.slice(0, 20) },
  });
}

/** Only files that lie in the folder itself are pushed: a link may lead to anything. Throws `hub-usage`. */
async function refuseLinks(folder: string, found: readonly string[]): Promise<void> {
  for (const name of found.filter(belongsToArtefact)) {
    const path = join(folder, name);
    if ((await lstat(path)).isFile()) continue;
    throw new VeneError("hub-usage", `${path} is a link or no regular file, and is not pushed`, {
      hint: "copy the folder with its content (cp -rL), and push the copy",
      details: { path },
    });
  }
}

/** Manifest and tensors byte by byte, checked to be what was read before. */
async function filesOnDisk(folder: string, { manifest }: Artefact, sameManifest: boolean) {
  const files = new Map<string, PushFile>();
  const { sha256, size } = manifest.files[tensorsFileName];
  const tensors = join(folder, tensorsFileName);
  const content = size > HELD_BYTES ? { file: tensors } : await readSmallFile(tensors, HELD_BYTES);
  files.set(tensorsFileName, { path: tensorsFileName, content, sha256 });
  if (!sameManifest) return files;
  const path = join(folder, manifestFileName);
  const bytes = await readSmallFile(path, MAX_JSON_BYTES);
  if (!isDeepStrictEqual(parseManifest(parseJson(bytes, { name: path }), path), manifest)) {
    throw new VeneError("file-unreadable", `${path} changed while it was read`, {
      hint: "push again",
      details: { path },
    });
  }
  return files.set(manifestFileName, { path: manifestFileName, content: bytes });
}

function withLicense(artefact: Artefact, license: string | undefined): Artefact {
  if (license === undefined || license === artefact.manifest.license) return artefact;
  return { ...artefact, manifest: { ...artefact.manifest, license } };
}
