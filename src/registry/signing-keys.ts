/** Keys that sign: ECDSA P-256 pairs as PEM files, and the ids that signatures name them by. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { listFolder } from "../artefact/folder.ts";
import { makeFolder, writeFileAtomic } from "../base/atomic.ts";
import type { Sha256 } from "../base/brands.ts";
import { readSmallFile } from "../base/bytes.ts";
import { sha256Of } from "../base/digest.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import type { PublisherKey } from "../spec/registry-keys.ts";

/** A public key, under the name of its file. */
export interface VerifyingKey {
  readonly name: string;
  /** sha256 of the PEM text: what OpenSSF model signing puts into signatures as hint. */
  readonly keyid: Sha256;
  /** PEM, "BEGIN PUBLIC KEY". */
  readonly spki: string;
}

export interface SigningKey extends VerifyingKey {
  readonly privateKey: KeyObject;
}

/** A file in a folder of keys; `signs`: the private half is there, too. */
export interface ListedKey extends VerifyingKey {
  readonly signs: boolean;
}

const MAX_PEM_BYTES = 1 << 16;
const privateEnding = ".key";
const publicEnding = ".pub";

/**
 * Makes a pair as `<name>.key` (PKCS #8, for its owner's eyes only) and `<name>.pub` in `folder`. Throws `registry-usage` for a
 * name that cannot be or is taken, `write-failed`.
 */
export async function newKey(folder: string, name: string): Promise<SigningKey> {
  checkKeyName(name);
  await makeFolder(folder);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const path = join(folder, `${name}${privateEnding}`);
  try {
    // "wx": a key that is there already is never written over.
    const handle = await open(path, "wx", 0o600);
    await handle.writeFile(privateKey.export({ type: "pkcs8", format: "pem" }));
    await handle.sync();
    await handle.close();
  } catch (cause) {
    if (systemCodeOf(cause) === "EEXIST") {
      throw new VeneError("registry-usage", `there is a key ${path} already`, { hint: "choose another name", cause });
    }
    throw new VeneError("write-failed", `cannot write ${path}: ${messageOf(cause)}`, { details: { path }, cause });
  }
  const key = signingKey(privateKey, name);
  await writeFileAtomic(join(folder, `${name}${publicEnding}`), key.spki);
  return key;
}

/** Puts somebody's public key into a folder of keys, so that what it signed is trusted. Throws `registry-usage`. */
export async function addKey(folder: string, name: string, spki: string): Promise<VerifyingKey> {
  checkKeyName(name);
  const key = verifyingKey(spki, name);
  const before = (await listKeys(folder)).find((one) => one.name === name);
  if (before !== undefined && before.keyid !== key.keyid) {
    throw new VeneError("registry-usage", `${name} is another key already: ${before.keyid}, not ${key.keyid}`, {
      hint: `if ${name} told you of a new key, remove ${join(folder, name + publicEnding)} first`,
      details: { name, found: before.keyid, given: key.keyid },
    });
  }
  await writeFileAtomic(join(folder, `${name}${publicEnding}`), key.spki);
  return key;
}

/** The keys in a folder, by name; none where there is no folder. Throws `registry-usage` for a file that is no key. */
export async function listKeys(folder: string): Promise<ListedKey[]> {
  const found = (await listFolder(folder)) ?? [];
  const names = found.filter((file) => file.endsWith(publicEnding)).map((file) => basename(file, publicEnding));
  const keys: ListedKey[] = [];
  for (const name of names) {
    const key = await readVerifyingKey(join(folder, `${name}${publicEnding}`));
    keys.push({ ...key, signs: found.includes(`${name}${privateEnding}`) });
  }
  return keys;
}

/** A private key, as {@link newKey} or openssl wrote it. Throws `registry-usage`, also where others may read the file; `file-missing`. */
export async function readSigningKey(path: string): Promise<SigningKey> {
  const pem = Buffer.from(await readSmallFile(path, MAX_PEM_BYTES)).toString("latin1");
  const { mode } = await stat(path);
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw new VeneError(
      "registry-usage",
      `others may read the private key ${path}: its mode is ${(mode & 0o777).toString(8)}`,
      {
        hint: `chmod 600 ${path}; if it was there for others to see, make a new key`,
        details: { path },
      },
    );
  }
  const name = basename(path, privateEnding);
  try {
    return signingKey(createPrivateKey(pem), name);
  } catch (cause) {
    throw noKey(path, "private", cause);
  }
}

/** A public key from a PEM file. Throws `registry-usage`, `file-missing`. */
export async function readVerifyingKey(path: string): Promise<VerifyingKey> {
  const pem = Buffer.from(await readSmallFile(path, MAX_PEM_BYTES)).toString("latin1");
  return verifyingKey(pem, basename(path, publicEnding));
}

/** Throws `registry-usage` for anything but the PEM text of a public key of P-256. */
export function verifyingKey(spki: string, name: string): VerifyingKey {
  try {
    if (spki.includes("PRIVATE")) throw new Error("it is a private key");
    return { name, ...identityOf(createPublicKey(spki)) };
  } catch (cause) {
    throw noKey(name, "public", cause);
  }
}

/** The row of a registry's keys.json that lets this key sign for `namespaces`. */
export function publisherKeyOf({ keyid, spki }: VerifyingKey, namespaces: readonly string[]): PublisherKey {
  return { keyid, alg: "ecdsa-p256", spki, namespaces: [...namespaces] };
}

function signingKey(privateKey: KeyObject, name: string): SigningKey {
  return { name, ...identityOf(createPublicKey(privateKey)), privateKey };
}

function identityOf(publicKey: KeyObject): { keyid: Sha256; spki: string } {
  const curve = publicKey.asymmetricKeyDetails?.namedCurve;
  if (publicKey.asymmetricKeyType !== "ec" || curve !== "prime256v1") {
    throw new Error(`it is of ${curve ?? publicKey.asymmetricKeyType}, not of P-256`);
  }
  const spki = publicKey.export({ type: "spki", format: "pem" }).toString();
  return { keyid: sha256Of(spki), spki };
}

function checkKeyName(name: string): void {
  if (/^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/.test(name)) return;
  throw new VeneError("registry-usage", `${JSON.stringify(name)} cannot be the name of a key`, {
    hint: "use lower-case letters, digits, dots, dashes and underscores",
    details: { name },
  });
}

function noKey(path: string, half: string, cause: unknown): VeneError {
  return new VeneError("registry-usage", `${path} holds no ${half} key that vene can use: ${messageOf(cause)}`, {
    hint: "vene keys new makes one: ECDSA P-256, as unencrypted PEM",
    details: { path },
    cause,
  });
}
