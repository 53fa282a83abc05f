/** Signatures: made and checked here, by a second verifier, and by OpenSSF's own tool. */

import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, statSync } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { VeneError } from "../../src/base/errors.ts";
import { packBundle } from "../../src/registry/bundle-pack.ts";
import { unpackBundle } from "../../src/registry/bundle-unpack.ts";
import { signArtefact, verifySignature } from "../../src/registry/signing.ts";
import { isSignedBy, openSignature, signResources } from "../../src/registry/signing-envelope.ts";
import {
  addKey,
  listKeys,
  newKey,
  publisherKeyOf,
  readSigningKey,
  readVerifyingKey,
  type SigningKey,
} from "../../src/registry/signing-keys.ts";
import { pinKey, readPins } from "../../src/registry/signing-pins.ts";
import { checkSignature, type SignatureQuestion } from "../../src/registry/signing-policy.ts";
import { checkReleaseSignature, parsePolicies } from "../../src/registry/signing-release.ts";
import { encodeStatement } from "../../src/registry/signing-statement.ts";
import { fixture } from "../support/fixtures.ts";
import { contentsOf, flipByte, sampleFolder, temporaryFolder } from "./bundle-places.ts";
import { independentlyVerified } from "./independent-verifier.ts";

let alice: SigningKey;
let mallory: SigningKey;
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vene-registry-"));
  alice = await newKey(folder, "alice");
  mallory = await newKey(folder, "mallory");
});

const require = { policy: "require" } as const;

describe("keys", () => {
  test("are PEM files, the private one for its owner only, and are not written over", async () => {
    const folder = join(await temporaryFolder(), "deep", "keys");
    const key = await newKey(folder, "bob");
    expect(statSync(join(folder, "bob.key")).mode & 0o777).toBe(0o600);
    expect(await readFile(join(folder, "bob.pub"), "utf8")).toBe(key.spki);
    expect(await listKeys(folder)).toEqual([{ name: "bob", keyid: key.keyid, spki: key.spki, signs: true }]);
    expect((await readSigningKey(join(folder, "bob.key"))).keyid).toBe(key.keyid);
    await expect(newKey(folder, "bob")).rejects.toMatchObject({ code: "registry-usage" });
    await expect(newKey(folder, "../bob")).rejects.toMatchObject({ code: "registry-usage" });
    expect((await readSigningKey(join(folder, "bob.key"))).keyid).toBe(key.keyid);
    await addKey(folder, "alice", alice.spki);
    await expect(addKey(folder, "alice", mallory.spki)).rejects.toMatchObject({ code: "registry-usage" });
    expect((await listKeys(folder)).map(({ name, signs }) => [name, signs])).toEqual([
      ["alice", false],
      ["bob", true],
    ]);
    expect(await listKeys(join(folder, "none"))).toEqual([]);
  });

  test("that others may read, of other kinds, or that are none are refused", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "x.key");
    const pem = (pair: ReturnType<typeof generateKeyPairSync>) =>
      (pair.privateKey as unknown as { export(options: object): string }).export({ type: "pkcs8", format: "pem" });
    const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }) as never;
    const ed25519 = generateKeyPairSync("ed25519") as never;
    for (const text of [pem(p384), pem(ed25519), "", "not a key", alice.spki]) {
      await writeFile(path, text, { mode: 0o600 });
      await expect(readSigningKey(path)).rejects.toMatchObject({ code: "registry-usage" });
      if (text !== alice.spki) await expect(readVerifyingKey(path)).rejects.toMatchObject({ code: "registry-usage" });
    }
    await newKey(folder, "open");
    await expect(readVerifyingKey(join(folder, "open.key"))).rejects.toMatchObject({ code: "registry-usage" });
    await chmod(join(folder, "open.key"), 0o644);
    await expect(readSigningKey(join(folder, "open.key"))).rejects.toMatchObject({ code: "registry-usage" });
    await expect(readSigningKey(join(folder, "absent.key"))).rejects.toMatchObject({ code: "file-missing" });
  });
});

describe("an artefact's folder", () => {
  const keys = () => [publisherKeyOf(alice, ["*"])];

  test("is signed, and verified here and independently", async () => {
    const folder = await sampleFolder();
    const { files } = await signArtefact(folder, alice);
    expect(await verifySignature(folder, { keys: keys(), ...require })).toEqual({
      status: "valid",
      keyid: alice.keyid,
      notices: [],
    });
    const second = await independentlyVerified(folder, alice.spki);
    expect(second).toEqual({ subject: "sample", names: files.map(({ name }) => name) });
    await expect(independentlyVerified(folder, mallory.spki)).rejects.toThrow("hint");
  });

  test("is signed again after a change, and keeps its signature in a bundle", async () => {
    const folder = await sampleFolder();
    await signArtefact(folder, alice, { subject: "lab/sample@1.0.0" });
    await packBundle(folder, `${folder}.tgz`);
    await unpackBundle(`${folder}.tgz`, `${folder}-copy`);
    expect(await contentsOf(`${folder}-copy`)).toEqual(await contentsOf(folder));
    const asked = { keys: keys(), subject: "lab/sample@1.0.0", ...require };
    expect((await verifySignature(`${folder}-copy`, asked)).status).toBe("valid");
    await writeFile(join(folder, "README.md"), "# another\n");
    await expect(packBundle(folder, `${folder}.tgz`)).rejects.toMatchObject({ code: "bundle-invalid" });
    await signArtefact(folder, alice);
    await packBundle(folder, `${folder}.tgz`);
  });

  test("whose files were changed, added or removed is refused by both verifiers", async () => {
    const changes: readonly ((folder: string) => Promise<void>)[] = [
      (folder) => flipByte(join(folder, "README.md"), 5),
      (folder) => flipByte(join(folder, "intervention.safetensors"), 16),
      (folder) => rm(join(folder, "config.json")),
      (folder) => writeFile(join(folder, "intkey_extra.bin"), "x"),
    ];
    for (const change of changes) {
      const folder = await sampleFolder();
      await signArtefact(folder, alice);
      await change(folder);
      const verifying = verifySignature(folder, { keys: keys(), ...require });
      await expect(verifying).rejects.toMatchObject({ code: "registry-signature" });
      await expect(independentlyVerified(folder, alice.spki)).rejects.toThrow("files");
    }
  });

  test("any bit of the signed statement or of the signature", async () => {
    const folder = await sampleFolder();
    await signArtefact(folder, alice);
    const text = await readFile(join(folder, "model.sig"), "utf8");
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: text.length - 1 }), fc.constantFrom(..."AZaz09+/"), async (at, character) => {
        fc.pre(text[at] !== character);
        await writeFile(join(folder, "model.sig"), text.slice(0, at) + character + text.slice(at + 1));
        const answer = await verifySignature(folder, { keys: keys(), policy: "warn" });
        // A change that means nothing: in names of fields that are not read, or in the unused bits of base64.
        const opened =
          answer.status === "valid" ? openSignature(await readFile(join(folder, "model.sig")), "") : undefined;
        if (opened !== undefined) expect(isSignedBy(opened, alice)).toBe(true);
        else expect(answer).toMatchObject({ status: "refused", keyid: undefined });
      }),
      { numRuns: 150 },
    );
  });
});

describe("OpenSSF's own tool (model-signing 1.1.1)", () => {
  const folder = fixture("model-signing/honest");

  test("made signatures that hold here", async () => {
    const key = await readVerifyingKey(fixture("model-signing/key.pub"));
    const asked = { keys: [publisherKeyOf(key, ["*"])], subject: "honest", ...require };
    expect((await verifySignature(folder, asked)).keyid).toBe(key.keyid);
    expect((await independentlyVerified(folder, key.spki)).subject).toBe("honest");
    await expect(verifySignature(folder, { ...asked, subject: "other" })).rejects.toMatchObject({
      code: "registry-signature",
    });
  });

  test("would sign the same statement", async () => {
    const { dsseEnvelope } = JSON.parse(await readFile(join(folder, "model.sig"), "utf8"));
    const theirs = JSON.parse(Buffer.from(dsseEnvelope.payload, "base64").toString());
    const { subject, resources } = openSignature(await readFile(join(folder, "model.sig")), "");
    const ours = JSON.parse(encodeStatement({ subject, resources }));
    theirs.predicate.serialization.ignore_paths.sort();
    ours.predicate.serialization.ignore_paths.sort();
    expect(ours).toEqual(theirs);
  });
});

describe("a release's signature", () => {
  const keysFile = () => Buffer.from(JSON.stringify({ publishers: { alice: [publisherKeyOf(alice, ["lab"])] } }));
  const release = { name: "lab/sample", version: "1.0.0" };

  async function checked(folder: string, signatures: string, keys: Buffer | undefined = keysFile()) {
    const variables = { VENE_CONFIG: await temporaryFolder(), VENE_SIGNATURES: signatures };
    const view = { snapshot: { read: async () => keys } };
    return checkReleaseSignature(folder, { ...release, view }, variables);
  }

  test("is checked by the policy of its namespace, with the registry's keys", async () => {
    const folder = await sampleFolder();
    const refused = { code: "registry-signature" };
    await expect(checked(folder, "require")).rejects.toMatchObject(refused);
    await expect(checked(folder, "off,lab=require")).rejects.toMatchObject(refused);
    expect(await checked(folder, "require,lab=off")).toEqual([]);
    expect(await checked(folder, "")).toEqual([]);
    expect(await checked(folder, "warn")).toEqual([expect.stringContaining("is not signed")]);
    await signArtefact(folder, alice, { subject: "lab/sample@1.0.0" });
    expect(await checked(folder, "require")).toEqual([expect.stringContaining("first signature of lab")]);
    await expect(checked(folder, "require", Buffer.from('{"publishers": {}}'))).rejects.toMatchObject(refused);
    await expect(checked(folder, "require", Buffer.from("{}"))).rejects.toMatchObject({ code: "registry-invalid" });
    await signArtefact(folder, alice, { subject: "lab/sample@0.9.0" });
    await expect(checked(folder, "require")).rejects.toMatchObject(refused);
    await expect(checked(folder, "perhaps")).rejects.toMatchObject({ code: "registry-usage" });
  });

  test("policies are read from text", () => {
    expect(parsePolicies(" warn, lab=require ,x=off")).toEqual({
      default: "warn",
      namespaces: Object.assign(Object.create(null), { lab: "require", x: "off" }),
    });
    for (const text of ["maybe", "lab=", "lab=never", "=warn"]) {
      expect(() => parsePolicies(text)).toThrow(expect.objectContaining({ code: "registry-usage" }));
    }
  });
});

describe("case 55: signatures that do not count", () => {
  const files = [{ name: "intervention.json", sha256: "ab".repeat(32) as never }];
  const subject = "lab/sample@1.2.0";
  const good = (): SignatureQuestion => ({
    name: subject,
    content: signResources(subject, files, alice),
    files,
    subject,
    namespace: "lab",
    keys: [publisherKeyOf(alice, ["lab"])],
    at: new Date("2026-11-23T12:00:00Z"),
  });

  async function expectRefused(change: Partial<SignatureQuestion>, message: RegExp): Promise<void> {
    const question = { ...good(), ...change };
    const failure = { code: "registry-signature", message: expect.stringMatching(message) };
    await expect(checkSignature(question, { policy: "require" })).rejects.toMatchObject(failure);
    const warned = await checkSignature(question, { policy: "warn" });
    expect(warned.status).toBe(question.content === undefined ? "unsigned" : "refused");
    expect(warned.notices).toEqual([expect.stringMatching(message)]);
    expect((await checkSignature(question, { policy: "off" })).status).toBe("unchecked");
  }

  test("the good one counts", async () => {
    expect(await checkSignature(good(), require)).toEqual({ status: "valid", keyid: alice.keyid, notices: [] });
    expect((await checkSignature({ ...good(), keys: [publisherKeyOf(alice, ["*"])] }, require)).status).toBe("valid");
  });

  const key = () => publisherKeyOf(alice, ["lab"]);

  test("by a revoked, expired, not yet valid, unknown or other-namespace key", async () => {
    const revoked = { at: "2026-11-01T00:00:00Z", reason: "laptop stolen" };
    await expectRefused({ keys: [{ ...key(), revoked }] }, /revoked at 2026-11-01.*laptop stolen/);
    await expectRefused({ keys: [{ ...key(), until: "2026-11-22T00:00:00Z" }] }, /expired at 2026-11-22/);
    await expectRefused({ keys: [{ ...key(), from: "2026-11-24T00:00:00Z" }] }, /good from 2026-11-24/);
    await expectRefused({ keys: [{ ...key(), until: "2026-99-99T00:00:00Z" }] }, /expired at 2026-99-99/);
    await expectRefused({ keys: [key(), { ...key(), revoked }] }, /revoked at 2026-11-01/);
    await expectRefused({ keys: [publisherKeyOf(alice, ["other"])] }, /signs for other and not for lab/);
    await expectRefused({ keys: [publisherKeyOf(mallory, ["lab"])] }, /a key that is not known/);
    await expectRefused({ keys: [] }, /a key that is not known/);
    await expectRefused({ keys: [{ ...key(), spki: "damaged" }] }, /the key listed under that id is another one/);
  });

  test("by a key that claims the id of another", async () => {
    await expectRefused({ keys: [{ ...publisherKeyOf(mallory, ["lab"]), keyid: alice.keyid }] }, /is another one/);
    const forged = JSON.parse(signResources(subject, files, mallory));
    forged.verificationMaterial.publicKey.hint = alice.keyid;
    await expectRefused({ content: JSON.stringify(forged) }, /did not make/);
  });

  test("over another version, other files, or none; stripped; of other kinds", async () => {
    await expectRefused({ content: signResources("lab/sample@1.1.0", files, alice) }, /1\.1\.0.*not of.*1\.2\.0/);
    const other = [{ ...files[0]!, sha256: "cd".repeat(32) as never }];
    await expectRefused({ content: signResources(subject, other, alice) }, /is not what was signed/);
    await expectRefused(
      { files: [...files, { name: "extra", sha256: "00".repeat(32) as never }] },
      /extra was not signed/,
    );
    await expectRefused({ files: [] }, /was signed and is not there/);
    await expectRefused({ content: undefined }, /is not signed/);
    const bundle = JSON.parse(good().content as string);
    bundle.mediaType = "application/vnd.dev.sigstore.bundle+json;version=0.2";
    await expectRefused({ content: JSON.stringify(bundle) }, /mediaType/);
    const keyless = JSON.parse(good().content as string);
    keyless.verificationMaterial = { certificate: { rawBytes: "AAAA" } };
    await expectRefused({ content: JSON.stringify(keyless) }, /publicKey/);
    await expectRefused({ content: "{}" }, /no signature that vene can check/);
    await expectRefused({ content: "{" }, /line 1/);
  });

  test("signed statements that contradict themselves", async () => {
    const { sign } = await import("node:crypto");
    const resign = (change: (statement: ReturnType<typeof JSON.parse>) => void) => {
      const bundle = JSON.parse(good().content as string);
      const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, "base64").toString());
      change(statement);
      const body = Buffer.from(JSON.stringify(statement));
      const type = bundle.dsseEnvelope.payloadType;
      const head = Buffer.from(`DSSEv1 ${type.length} ${type} ${body.length} `);
      bundle.dsseEnvelope.payload = body.toString("base64");
      bundle.dsseEnvelope.signatures[0].sig = sign("sha256", Buffer.concat([head, body]), alice.privateKey).toString(
        "base64",
      );
      return { content: JSON.stringify(bundle) };
    };
    expect((await checkSignature({ ...good(), ...resign(() => undefined) }, require)).status).toBe("valid");
    await expectRefused(
      resign((one) => (one.subject[0].digest.sha256 = "00".repeat(32))),
      /its subject has the digest/,
    );
    await expectRefused(
      resign((one) => one.predicate.resources.push(one.predicate.resources[0])),
      /lists a file twice/,
    );
    await expectRefused(
      resign((one) => (one.predicate.serialization.method = "shards")),
      /method/,
    );
    await expectRefused(
      resign((one) => (one.predicateType = "https://slsa.dev/provenance/v1")),
      /predicateType/,
    );
  });

  test("the first key of a namespace is pinned, and a change is loud until somebody accepts it", async () => {
    const pins = join(await temporaryFolder(), "known-keys.json");
    const keys = [publisherKeyOf(alice, ["lab"]), publisherKeyOf(mallory, ["lab"])];
    const first = await checkSignature({ ...good(), keys }, { policy: "require", pins });
    expect(first.notices).toEqual([expect.stringContaining(`its key ${alice.keyid} is remembered`)]);
    expect((await readPins(pins))["lab"]!.keyid).toBe(alice.keyid);
    expect((await checkSignature({ ...good(), keys }, { policy: "require", pins })).notices).toEqual([]);
    const changed = { ...good(), keys, content: signResources(subject, files, mallory) };
    await expect(checkSignature(changed, { policy: "require", pins })).rejects.toMatchObject({
      code: "registry-signature",
      message: expect.stringContaining("THE KEY OF lab HAS CHANGED"),
    });
    expect((await readPins(pins))["lab"]!.keyid).toBe(alice.keyid);
    await expect(checkSignature({ ...good(), content: undefined }, { policy: "require", pins })).rejects.toMatchObject({
      message: expect.stringMatching(/is not signed, and lab has signed since \d{4}-/),
    });
    await pinKey(pins, "lab", mallory.keyid);
    expect((await checkSignature(changed, { policy: "require", pins })).status).toBe("valid");
    await writeFile(pins, '{"pins": 2}');
    await expect(checkSignature(changed, { policy: "warn", pins })).rejects.toBeInstanceOf(VeneError);
  });
});
