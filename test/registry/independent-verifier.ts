/** A second verifier of OpenSSF model signatures, which shares no code with the product: WebCrypto and the specifications. */
import { createHash, webcrypto } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** An ECDSA signature in DER (X9.62) as r and s of 32 bytes each, as WebCrypto wants it. */
function rawSignature(der: Buffer): Buffer {
  if (der[0] !== 0x30 || der[1] !== der.length - 2) throw new Error("no DER sequence");
  const integers: Buffer[] = [];
  for (let at = 2; at < der.length; at += 2 + der[at + 1]!) {
    if (der[at] !== 0x02) throw new Error("no DER integer");
    const digits = der.subarray(at + 2, at + 2 + der[at + 1]!);
    const trimmed = digits[0] === 0 ? digits.subarray(1) : digits;
    integers.push(Buffer.concat([Buffer.alloc(32 - trimmed.length), trimmed]));
  }
  if (integers.length !== 2) throw new Error("not two integers");
  return Buffer.concat(integers);
}

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** What a signature over a folder says, if it holds for every file there: throws otherwise. */
export async function independentlyVerified(
  folder: string,
  pem: string,
): Promise<{ subject: string; names: string[] }> {
  const bundle = JSON.parse(readFileSync(join(folder, "model.sig"), "utf8"));
  if (bundle.mediaType !== "application/vnd.dev.sigstore.bundle.v0.3+json") throw new Error("media type");
  if (bundle.verificationMaterial.publicKey.hint !== sha256(pem)) throw new Error("hint");
  const { payload, payloadType, signatures } = bundle.dsseEnvelope;
  const body = Buffer.from(payload, "base64");
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${body.length} `), body]);
  const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ""), "base64");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const key = await webcrypto.subtle.importKey("spki", der, algorithm, false, ["verify"]);
  const raw = rawSignature(Buffer.from(signatures[0].sig, "base64"));
  if (!(await webcrypto.subtle.verify(algorithm, key, raw, signed))) throw new Error("signature");
  const statement = JSON.parse(body.toString("utf8"));
  if (statement._type !== "https://in-toto.io/Statement/v1") throw new Error("type");
  if (statement.predicateType !== "https://model_signing/signature/v1.0") throw new Error("predicate type");
  const ignored: string[] = statement.predicate.serialization.ignore_paths;
  const found = readdirSync(folder)
    .filter((name) => !ignored.includes(name))
    .sort();
  const digests = found.map((name) => ({ name, digest: sha256(readFileSync(join(folder, name))) }));
  const listed = statement.predicate.resources.map(({ name, digest }: { name: string; digest: string }) => ({
    name,
    digest,
  }));
  if (JSON.stringify(listed) !== JSON.stringify(digests)) throw new Error("files");
  const root = sha256(Buffer.from(digests.map(({ digest }) => digest).join(""), "hex"));
  if (statement.subject[0].digest.sha256 !== root) throw new Error("subject");
  return { subject: statement.subject[0].name, names: found };
}
