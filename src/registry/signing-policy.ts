/** Whether a signature holds and by whom, and what follows from it: nothing, a notice, or an error. */
import { VeneError } from "../base/errors.ts";
import type { PublisherKey } from "../spec/registry-keys.ts";
import { isSignedBy, type OpenedSignature, openSignature } from "./signing-envelope.ts";
import { resourceFault } from "./signing-files.ts";
import { verifyingKey } from "./signing-keys.ts";
import { type KeyPin, pinKey, readPins } from "./signing-pins.ts";
import type { SignedFile } from "./signing-statement.ts";

/** off: signatures are not looked at; warn: what is wrong becomes a notice; require: it is an error. */
export type SignaturePolicy = "off" | "warn" | "require";

export const signaturePolicies = ["off", "warn", "require"] as const satisfies readonly SignaturePolicy[];

/** One policy for all namespaces, and others for some of them. */
export interface SignaturePolicies {
  readonly default: SignaturePolicy;
  readonly namespaces?: Readonly<Record<string, SignaturePolicy>>;
}

export interface SignatureQuestion {
  /** What messages call it: a path, or a name with its version. */
  readonly name: string;
  /** Content of model.sig; undefined where there is none. */
  readonly content: string | Uint8Array | undefined;
  /** What should have been signed. */
  readonly files: readonly SignedFile[];
  /** What the signature must be about, where that is known: "namespace/name@version". */
  readonly subject?: string | undefined;
  /** Whose it is: keys sign for their namespaces, and are pinned for them. */
  readonly namespace?: string | undefined;
  readonly keys: readonly PublisherKey[];
  /** When keys must have been good. Default: now. */
  readonly at?: Date | undefined;
}

export interface SignatureAnswer {
  readonly status: "valid" | "unsigned" | "refused" | "unchecked";
  /** The key that signed it, where valid. */
  readonly keyid: string | undefined;
  readonly notices: readonly string[];
}

export function policyFor(policies: SignaturePolicies, namespace: string | undefined): SignaturePolicy {
  const { namespaces = {} } = policies;
  return namespace !== undefined && Object.hasOwn(namespaces, namespace) ? namespaces[namespace]! : policies.default;
}

/**
 * Applies a policy. `pins` is a file where the key of a namespace is noted at its first use; another one later is refused until
 * somebody pins it by hand. Throws `registry-signature` under require, and `registry-invalid` for damaged pins.
 */
export async function checkSignature(
  question: SignatureQuestion,
  { policy, pins }: { readonly policy: SignaturePolicy; readonly pins?: string | undefined },
): Promise<SignatureAnswer> {
  if (policy === "off") return { status: "unchecked", keyid: undefined, notices: [] };
  try {
    if (question.content === undefined) throw await unsigned(question, pins);
    const { keyid } = signerOf(question, question.content);
    return { status: "valid", keyid, notices: await comparePin(question, keyid, pins) };
  } catch (thrown) {
    if (policy === "require" || !(thrown instanceof VeneError) || thrown.code !== "registry-signature") throw thrown;
    const status = question.content === undefined ? "unsigned" : "refused";
    return { status, keyid: undefined, notices: [thrown.message] };
  }
}

/** The key that signed exactly these files, and may. Throws `registry-signature`. */
function signerOf(question: SignatureQuestion, content: string | Uint8Array): PublisherKey {
  const { name, files, subject } = question;
  const opened = openSignature(content, `the signature of ${name}`);
  const key = keyOf(opened, question);
  if (subject !== undefined && opened.subject !== subject) {
    throw refusal(name, `has a signature of ${JSON.stringify(opened.subject)}, not of ${JSON.stringify(subject)}`);
  }
  const fault = resourceFault(opened.resources, files);
  if (fault !== undefined) throw refusal(name, `is not what was signed: ${fault}`);
  const reason = mayNot(key, question);
  if (reason !== undefined) throw refusal(name, `was signed with ${key.keyid}, which ${reason}`);
  return key;
}

function keyOf(opened: OpenedSignature, { name, namespace, keys }: SignatureQuestion): PublisherKey {
  const { hint } = opened;
  // A key may be listed more than once: that it was revoked counts before anything that it may do.
  const rank = (key: PublisherKey) => (key.revoked !== undefined ? 0 : signsFor(key, namespace) ? 1 : 2);
  const candidates = keys
    .filter(({ keyid }) => hint === undefined || keyid === hint)
    .sort((one, other) => rank(one) - rank(other));
  for (const key of candidates) {
    if (!isItself(key)) {
      throw refusal(name, `names the key ${key.keyid}, and the key listed under that id is another one`);
    }
    if (isSignedBy(opened, key)) return key;
  }
  if (candidates.length > 0) throw refusal(name, `has a signature that ${hint ?? "none of the keys"} did not make`);
  throw refusal(
    name,
    `was signed with a key that is not known: ${hint ?? "it has no id"}`,
    "vene keys add, if you trust it",
  );
}

/** An id is that of the key's text, so that nobody can list another key under it. */
function isItself({ keyid, spki }: PublisherKey): boolean {
  try {
    return verifyingKey(spki, keyid).keyid === keyid;
  } catch {
    return false;
  }
}

function signsFor({ namespaces }: PublisherKey, namespace: string | undefined): boolean {
  return namespace === undefined || namespaces.includes("*") || namespaces.includes(namespace);
}

/** Why a key's signature does not count here and now. Times that are none do not count either. */
function mayNot(key: PublisherKey, { namespace, at = new Date() }: SignatureQuestion): string | undefined {
  const { namespaces, from, until, revoked } = key;
  if (revoked !== undefined) return `was revoked at ${revoked.at}: ${revoked.reason}`;
  if (!signsFor(key, namespace)) return `signs for ${namespaces.join(", ")} and not for ${namespace}`;
  if (from !== undefined && !(at >= new Date(from))) return `is good from ${from} on`;
  if (until !== undefined && !(at <= new Date(until))) return `expired at ${until}`;
  return undefined;
}

/** Notes the key of a namespace at its first use. Throws `registry-signature` for another one later. */
async function comparePin(question: SignatureQuestion, keyid: string, file: string | undefined): Promise<string[]> {
  const { name, namespace } = question;
  if (file === undefined || namespace === undefined) return [];
  const pin = await pinOf(namespace, file);
  if (pin === undefined) {
    await pinKey(file, namespace, keyid);
    return [`first signature of ${namespace} seen here: its key ${keyid} is remembered`];
  }
  if (pin.keyid === keyid) return [];
  throw refusal(
    name,
    `THE KEY OF ${namespace} HAS CHANGED: ${pin.keyid} since ${pin.since}, now ${keyid}. Somebody may be posing as ${namespace}`,
    `ask ${namespace} on another way; if the change is theirs, vene keys pin ${namespace} ${keyid}`,
  );
}

/** Somebody who signed before and does not now may be somebody else. */
async function unsigned({ name, namespace }: SignatureQuestion, file: string | undefined): Promise<VeneError> {
  const pin = file === undefined || namespace === undefined ? undefined : await pinOf(namespace, file);
  const before = pin === undefined ? "" : `, and ${namespace} has signed since ${pin.since}`;
  return refusal(name, `is not signed${before}`, "ask its publisher to sign it");
}

async function pinOf(namespace: string, file: string): Promise<KeyPin | undefined> {
  const pins = await readPins(file);
  return Object.hasOwn(pins, namespace) ? pins[namespace] : undefined;
}

function refusal(name: string, what: string, hint = "do not use it; ask its publisher"): VeneError {
  return new VeneError("registry-signature", `${name} ${what}`, { hint, details: { name } });
}
