/** Signatures as files: a sigstore bundle around a DSSE envelope, signed with ECDSA P-256 as OpenSSF model signing does. */
import { createPublicKey, sign, verify } from "node:crypto";
import { z } from "zod";
import type { SigningKey, VerifyingKey } from "./signing-keys.ts";
import { decodeStatement, encodeStatement, parseSigned, type SignedFile, type Statement } from "./signing-statement.ts";

const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
const payloadType = "application/vnd.in-toto+json";

/** Largest model.sig that is read: thousands of files. */
export const MAX_SIGNATURE_BYTES = 4 << 20;

const base64 = z
  .string()
  .regex(/^[A-Za-z0-9+/]*={0,2}$/)
  .refine((text) => text.length % 4 === 0, { error: "its length is no multiple of 4" });

const bundleSchema = z.object({
  mediaType: z.literal(mediaType),
  verificationMaterial: z.object({ publicKey: z.object({ hint: z.string().max(200).nullish() }) }),
  dsseEnvelope: z.object({
    payload: base64,
    payloadType: z.literal(payloadType),
    signatures: z.array(z.object({ sig: base64 })).length(1),
  }),
});

/** A signature that was read but not verified: nothing in it is to be believed before {@link isSignedBy}. */
export interface OpenedSignature extends Statement {
  /** Id of the key that it claims; absent in signatures of older tools. */
  readonly hint: string | undefined;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** Signs a list of files, and gives the text of their model.sig. */
export function signResources(subject: string, files: readonly SignedFile[], key: SigningKey): string {
  const payload = Buffer.from(encodeStatement({ subject, resources: files }));
  const signature = sign("sha256", preAuthenticationEncoding(payload), key.privateKey);
  return JSON.stringify({
    mediaType,
    verificationMaterial: { publicKey: { hint: key.keyid }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString("base64"),
      payloadType,
      signatures: [{ sig: signature.toString("base64"), keyid: "" }],
    },
  });
}

/** Reads a model.sig. Throws `registry-signature` for anything else and for other kinds of signatures. */
export function openSignature(content: string | Uint8Array, source: string): OpenedSignature {
  const { dsseEnvelope, verificationMaterial } = parseSigned(bundleSchema, content, source);
  const payload = Buffer.from(dsseEnvelope.payload, "base64");
  return {
    ...decodeStatement(payload, source),
    hint: verificationMaterial.publicKey.hint ?? undefined,
    payload,
    signature: Buffer.from(dsseEnvelope.signatures[0]!.sig, "base64"),
  };
}

/** Whether this key made the signature over what {@link openSignature} read. */
export function isSignedBy({ payload, signature }: OpenedSignature, { spki }: Pick<VerifyingKey, "spki">): boolean {
  return verify("sha256", preAuthenticationEncoding(payload), createPublicKey(spki), signature);
}

/** DSSE v1: what is signed says of which type and length the payload is. */
function preAuthenticationEncoding(payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `), payload]);
}
