/** The signature of a release that came from a registry, held against the registry's keys, the user's own, and the pins. */
import { VeneError } from "../base/errors.ts";
import { publisherKeysSchema } from "../spec/registry-keys.ts";
import { signingPlaces } from "./config-folder.ts";
import { parseDocument } from "./documents.ts";
import type { FoundRelease } from "./resolve.ts";
import { verifySignature } from "./signing.ts";
import { listKeys, publisherKeyOf } from "./signing-keys.ts";
import { policyFor, type SignaturePolicies, signaturePolicies } from "./signing-policy.ts";
import type { Snapshot } from "./store.ts";

export const keysPath = "keys.json";
const MAX_KEYS_BYTES = 8 << 20;

/**
 * Applies to the files in `folder` the policy that VENE_SIGNATURES has for the release's namespace (see {@link parsePolicies}).
 * The signature must be about this very name and version, so that a registry cannot pass an old release off as a new one. Gives
 * notices. Throws `registry-signature` under require, `registry-invalid` for a damaged keys.json.
 */
export async function checkReleaseSignature(
  folder: string,
  { name, version, view }: Pick<FoundRelease, "name" | "version"> & { view: { snapshot: Pick<Snapshot, "read"> } },
  variables: Readonly<Record<string, string | undefined>> = process.env,
): Promise<readonly string[]> {
  const namespace = name.split("/")[0]!;
  const policy = policyFor(parsePolicies(variables["VENE_SIGNATURES"] ?? ""), namespace);
  if (policy === "off") return [];
  const places = signingPlaces(variables);
  const own = (await listKeys(places.keys)).map((key) => publisherKeyOf(key, ["*"]));
  const bytes = await view.snapshot.read(keysPath, MAX_KEYS_BYTES);
  const listed = bytes === undefined ? {} : parseDocument(publisherKeysSchema, bytes, keysPath).publishers;
  const keys = [...Object.values(listed).flat(), ...own];
  const asked = { subject: `${name}@${version}`, namespace, keys, pins: places.pins };
  return (await verifySignature(folder, { ...asked, policy })).notices;
}

/** "require", or "off,lab=require": one policy for all, and others by namespace; "" is off. Throws `registry-usage`. */
export function parsePolicies(text: string): SignaturePolicies {
  const namespaces: Record<string, SignaturePolicies["default"]> = Object.create(null);
  let usual: SignaturePolicies["default"] = "off";
  for (const word of text.split(",").filter((part) => part.trim() !== "")) {
    const [, namespace, given] = /^\s*(?:([a-z0-9._-]+)=)?(\w+)\s*$/.exec(word) ?? [];
    const policy = signaturePolicies.find((one) => one === given);
    if (policy === undefined) {
      throw new VeneError("registry-usage", `${JSON.stringify(word)} is no policy for signatures`, {
        hint: `write ${signaturePolicies.join(", ")}, or namespace=policy, with commas between`,
        details: { text },
      });
    }
    if (namespace === undefined) usual = policy;
    else namespaces[namespace] = policy;
  }
  return { default: usual, namespaces };
}
