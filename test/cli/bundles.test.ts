/** pack, unpack, keys, sign and verify on the command line. */
import { cpSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { honest, scratch, tiny, vene, veneJson } from "./terminal.ts";

/** A copy of the demo's intervention, and a fresh folder for what is configured. */
function setting() {
  const place = scratch();
  const folder = join(place, "honest");
  cpSync(honest, folder, { recursive: true });
  return { place, folder, io: { env: { VENE_CONFIG: join(place, "config") } } };
}

describe("pack and unpack", () => {
  test("make one file of a folder, and the folder of the file", async () => {
    const { place, folder } = setting();
    const file = join(place, "honest.tgz");
    const packed = await veneJson(["pack", folder, file]);
    expect(packed).toMatchObject({ code: 0, json: { file, size: statSync(file).size, notices: [] } });
    const shown = await vene(["pack", folder, file]);
    expect(shown.out).toContain(`sha256: ${packed.json.sha256}\n`);
    expect(shown.out).toContain(`intervention.safetensors`);
    const target = join(place, "copy");
    const unpacked = await veneJson(["unpack", file, target, "--sha256", packed.json.sha256]);
    expect(unpacked.json).toEqual({ name: "honest", folder: target, files: packed.json.files });
    expect((await vene(["unpack", file, target])).out).toMatch(/^name: +honest\n/);
    for (const { name } of packed.json.files) {
      expect(readFileSync(join(target, name)).equals(readFileSync(join(folder, name)))).toBe(true);
    }
  });

  test("refuse another digest, no digest, and what is no bundle", async () => {
    const { place, folder } = setting();
    const file = join(place, "honest.tgz");
    await vene(["pack", folder, file]);
    const target = join(place, "copy");
    expect(await vene(["unpack", file, target, "--sha256", "ab".repeat(32)])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^error\[bundle-invalid\]: .*expected abab/),
    });
    expect((await vene(["unpack", file, target, "--sha256", "abc"])).code).toBe(2);
    writeFileSync(file, "nothing");
    expect((await vene(["unpack", file, target])).err).toMatch(/^error\[bundle-invalid\]/);
    expect(existsSync(target)).toBe(false);
  });
});

describe("keys", () => {
  test("are made, listed, shown and added", async () => {
    const { place, io } = setting();
    expect((await vene(["keys", "list"], io)).out).toBe("no keys\n");
    const made = await veneJson(["keys", "new", "alice"], io);
    expect(made.json).toMatchObject({ name: "alice", private: join(place, "config", "keys", "alice.key") });
    expect(statSync(made.json.private).mode & 0o777).toBe(0o600);
    const { out } = await vene(["keys", "show", "alice"], io);
    expect(out).toBe(readFileSync(made.json.public, "utf8"));
    expect((await veneJson(["keys", "show", "alice", "--namespace", "lab"], io)).json).toEqual({
      keyid: made.json.keyid,
      alg: "ecdsa-p256",
      spki: out,
      namespaces: ["lab"],
    });
    expect((await vene(["keys", "add", "friend", made.json.public], io)).out).toBe(`key: ${made.json.keyid}\n`);
    const listed = await veneJson(["keys", "list"], io);
    expect(listed.json.keys.map((key: { name: string; signs: boolean }) => [key.name, key.signs])).toEqual([
      ["alice", true],
      ["friend", false],
    ]);
    expect((await vene(["keys", "new", "alice"], io)).err).toMatch(/^error\[registry-usage\]: there is a key/);
    expect((await vene(["keys", "pin", "lab", "short"], io)).code).toBe(2);
    await vene(["keys", "pin", "lab", made.json.keyid], io);
    expect((await vene(["keys", "list"], io)).out).toMatch(
      new RegExp(`\nlab +\\d{4}-\\d\\d-\\d\\d +${made.json.keyid}\n$`),
    );
  });
});

describe("sign and verify", () => {
  test("an unsigned intervention is verified with a notice, or refused", async () => {
    const { folder, io } = setting();
    const { code, out, err } = await vene(["verify", folder], io);
    expect([code, err]).toEqual([0, `notice: ${folder} is not signed\n`]);
    expect(out).toMatch(/intervention\.safetensors +verified +[0-9a-f]{64}\n/);
    expect((await vene(["verify", folder, "--signature", "off"], io)).err).toBe("");
    expect(await vene(["verify", folder, "--signature", "require"], io)).toMatchObject({
      code: 1,
      err: expect.stringContaining("error[registry-signature]"),
    });
  });

  test("a signed one names its key; another machine needs the key; another key of a namespace is refused", async () => {
    const { place, folder, io } = setting();
    const alice = (await veneJson(["keys", "new", "alice"], io)).json;
    const mallory = (await veneJson(["keys", "new", "mallory"], io)).json;
    const signed = await veneJson(["sign", folder, "--key", "alice"], io);
    expect(signed.json).toMatchObject({ subject: "honest", keyid: alice.keyid });
    const { json } = await veneJson(["verify", folder, "--signature", "require"], io);
    expect(json).toMatchObject({
      name: "honest",
      signature: { status: "valid", keyid: alice.keyid },
      run: null,
      notices: [],
    });
    const elsewhere = { env: { VENE_CONFIG: join(place, "other") } };
    expect((await vene(["verify", folder, "--signature", "require"], elsewhere)).code).toBe(1);
    const given = ["verify", folder, "--signature", "require", "--namespace", "lab", "--key", alice.public];
    const first = await vene(given, elsewhere);
    expect([first.code, first.err]).toEqual([0, expect.stringContaining(`its key ${alice.keyid} is remembered`)]);
    await vene(["sign", folder, "--key", mallory.private], io);
    const changed = await vene([...given, "--key", mallory.public], elsewhere);
    expect([changed.code, changed.err]).toEqual([1, expect.stringContaining("THE KEY OF lab HAS CHANGED")]);
    await vene(["keys", "pin", "lab", mallory.keyid], elsewhere);
    expect((await vene([...given, "--key", mallory.public], elsewhere)).code).toBe(0);
    expect((await vene(["sign", folder], io)).code).toBe(2);
  });

  test("a changed file is named", async () => {
    const { folder, io } = setting();
    writeFileSync(join(folder, "intervention.safetensors"), "damaged");
    const { code, err } = await vene(["verify", folder], io);
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/^error\[registry-integrity\]: honest: intervention.safetensors is changed/),
    ]);
  });

  test("--run generates what was recorded, and says where it differs", async () => {
    const { folder, io } = setting();
    const path = join(folder, "intervention.json");
    const manifest = JSON.parse(readFileSync(path, "utf8"));
    const prompt = "Q: Which is larger, 27 or 7? A:";
    const asked = ["generate", "--model", tiny, "--intervention", folder, "--max-new-tokens", "4", prompt];
    const { steered, plain } = (await veneJson(asked)).json;
    const record = (tokens: readonly number[]) =>
      writeFileSync(
        path,
        JSON.stringify({ ...manifest, expected: [{ prompt, maxNewTokens: 4, plain: plain.tokens, steered: tokens }] }),
      );
    record(steered.tokens);
    const verify = ["verify", folder, "--run", "--model", tiny];
    const good = await vene(verify, io);
    expect([good.code, good.out]).toEqual([0, expect.stringMatching(/Q: Which is larger.* steered +\d +the same\n/)]);
    expect((await veneJson(verify, io)).json.run).toMatchObject({ same: true, sameBase: true });
    record(plain.tokens);
    expect(await vene(verify, io)).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /error\[registry-integrity\]: honest: 1 of 2 answers are not the recorded ones, first the steered/,
      ),
    });
    writeFileSync(path, JSON.stringify({ ...manifest, expected: undefined }));
    expect((await vene(verify, io)).err).toMatch(/records no answers/);
    expect((await vene(["verify", folder, "--run"], io)).code).toBe(2);
  });
});
