/** Signs the folder of an artefact, and checks such signatures: model.sig as OpenSSF model signing has it. */
import { join } from "node:path";
import { signatureFileName } from "../artefact/folder.ts";
import { writeFileAtomic } from "../base/atomic.ts";
import { readSmallFile } from "../base/bytes.ts";
import { artefactFileDigests, type FileDigest } from "./artefact-files.ts";
import { checkContent } from "./bundle-content.ts";
import { MAX_SIGNATURE_BYTES, signResources } from "./signing-envelope.ts";
import type { SigningKey } from "./signing-keys.ts";
import {
  checkSignature,
  type SignatureAnswer,
  type SignaturePolicy,
  type SignatureQuestion,
} from "./signing-policy.ts";

export interface SignOptions {
  /** What the signature says it is about. Default: the artefact's name. */
  readonly subject?: string;
}

/** How to judge a folder's signature; see {@link checkSignature}. */
export interface VerifySignatureOptions extends Pick<SignatureQuestion, "keys" | "subject" | "namespace" | "at"> {
  readonly policy: SignaturePolicy;
  readonly pins?: string | undefined;
}

/**
 * Signs every file of the artefact in `folder` and writes model.sig beside them; `model_signing verify key` accepts it. Throws
 * what reading the artefact throws, and `write-failed`.
 */
export async function signArtefact(
  folder: string,
  key: SigningKey,
  { subject }: SignOptions = {},
): Promise<{ readonly subject: string; readonly files: readonly FileDigest[] }> {
  const files = (await artefactFileDigests(folder)).files.filter(({ name }) => name !== signatureFileName);
  const { name } = await checkContent(folder, files);
  const signed = subject ?? name;
  await writeFileAtomic(join(folder, signatureFileName), signResources(signed, files, key));
  return { subject: signed, files };
}

/**
 * Whether the artefact in `folder` is what a known key signed. Files beside it that are none of an artefact's are not looked at.
 * Throws `registry-signature` under the policy require.
 */
export async function verifySignature(folder: string, options: VerifySignatureOptions): Promise<SignatureAnswer> {
  const { policy, pins, ...question } = options;
  const { files } = await artefactFileDigests(folder);
  const isSigned = files.some(({ name }) => name === signatureFileName);
  const content = isSigned ? await readSmallFile(join(folder, signatureFileName), MAX_SIGNATURE_BYTES) : undefined;
  return checkSignature({ ...question, name: folder, content, files }, { policy, pins });
}
