/** Case 55 from end to end: what a registry offers, installed under the policy require. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { installIntervention, installLocked } from "../../src/registry/install-named.ts";
import { publishIntervention } from "../../src/registry/publish.ts";
import { signArtefact } from "../../src/registry/signing.ts";
import { newKey, publisherKeyOf, type SigningKey } from "../../src/registry/signing-keys.ts";
import type { PublisherKey } from "../../src/spec/registry-keys.ts";
import { artefact, emptyRegistry, machine, scratch } from "./places.ts";

let registry: string;
let alice: SigningKey;
let mallory: SigningKey;

beforeAll(async () => {
  registry = await emptyRegistry("lab");
  alice = await newKey(scratch(), "alice");
  mallory = await newKey(scratch(), "mallory");
  await publish("1.0.0", alice);
  await publish("1.1.0", mallory);
  await publish("1.2.0", alice, "lab/calm@1.0.0");
  await publish("1.3.0", undefined);
});

async function publish(version: string, key: SigningKey | undefined, subject = `lab/calm@${version}`): Promise<void> {
  const folder = await artefact({ summary: `calm ${version}` });
  if (key !== undefined) await signArtefact(folder, key, { subject });
  await publishIntervention(folder, { ...machine(registry), name: "lab/calm", version });
}

/** The registry says that these keys count. */
function listKeys(...keys: PublisherKey[]): void {
  writeFileSync(join(registry, "keys.json"), JSON.stringify({ publishers: { somebody: keys } }));
}

/** A machine that has not seen anything yet. */
function fresh(policy = "require") {
  return {
    ...machine(registry, { VENE_CONFIG: scratch(), VENE_SIGNATURES: policy }),
    lockfile: join(scratch(), "lock.json"),
  };
}

const refused = (message: RegExp) => ({ code: "registry-signature", message: expect.stringMatching(message) });

describe("under require", () => {
  test("a release signed by a listed key is installed, also by its lockfile elsewhere", async () => {
    listKeys(publisherKeyOf(alice, ["lab"]));
    const here = fresh();
    const { notices } = await installIntervention("lab/calm@1.0.0", here);
    expect(notices).toEqual([expect.stringContaining(`first signature of lab seen here: its key ${alice.keyid}`)]);
    expect((await installLocked({ ...fresh(), lockfile: here.lockfile })).map(({ name }) => name)).toEqual([
      "lab/calm@1.0.0",
    ]);
    listKeys(publisherKeyOf(mallory, ["lab"]));
    await expect(installLocked({ ...fresh(), lockfile: here.lockfile })).rejects.toMatchObject(refused(/not known/));
  });

  test("unsigned, relabelled, and those of keys that do not count are refused", async () => {
    listKeys(publisherKeyOf(alice, ["lab"]));
    const install = (version: string) => installIntervention(`lab/calm@${version}`, fresh());
    await expect(install("1.3.0")).rejects.toMatchObject(refused(/is not signed/));
    await expect(install("1.2.0")).rejects.toMatchObject(
      refused(/signature of "lab\/calm@1\.0\.0", not of "lab\/calm@1\.2\.0"/),
    );
    await expect(install("1.1.0")).rejects.toMatchObject(refused(/not known/));
    listKeys(publisherKeyOf(alice, ["other"]));
    await expect(install("1.0.0")).rejects.toMatchObject(refused(/signs for other/));
    listKeys({ ...publisherKeyOf(alice, ["lab"]), until: "2020-01-01T00:00:00Z" });
    await expect(install("1.0.0")).rejects.toMatchObject(refused(/expired/));
    listKeys({ ...publisherKeyOf(alice, ["lab"]), revoked: { at: "2026-11-01T00:00:00Z", reason: "stolen" } });
    await expect(install("1.0.0")).rejects.toMatchObject(refused(/revoked.*stolen/));
  });

  test("a registry that lists another key for a namespace is caught by whoever knew the first one", async () => {
    listKeys(publisherKeyOf(alice, ["lab"]), publisherKeyOf(mallory, ["lab"]));
    const here = fresh();
    await installIntervention("lab/calm@1.0.0", here);
    await expect(installIntervention("lab/calm@1.1.0", here)).rejects.toMatchObject(
      refused(/THE KEY OF lab HAS CHANGED/),
    );
    expect((await installIntervention("lab/calm@1.1.0", fresh())).notices).toEqual([
      expect.stringContaining(mallory.keyid),
    ]);
  });
});

test("under warn it is a notice, under off and for other namespaces nothing", async () => {
  listKeys(publisherKeyOf(alice, ["lab"]));
  const noticesOf = async (policy: string) => (await installIntervention("lab/calm@1.3.0", fresh(policy))).notices;
  expect(await noticesOf("warn")).toEqual([expect.stringContaining("is not signed")]);
  expect(await noticesOf("off")).toEqual([]);
  expect(await noticesOf("off,other=require")).toEqual([]);
});
