/** Packing and unpacking: nothing is lost, and the same files give the same bytes. */
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { writeArtefact } from "../../src/artefact/read.ts";
import { sha256Of } from "../../src/base/digest.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { artefactFileDigests } from "../../src/registry/artefact-files.ts";
import { packBundle } from "../../src/registry/bundle-pack.ts";
import { unpackBundle } from "../../src/registry/bundle-unpack.ts";
import type { Intervention } from "../../src/spec/intervention.ts";
import { addition, sample } from "../artefact/samples.ts";
import { bundleFile, entriesOf, tar } from "./archives.ts";
import { contentsOf, sampleFolder, temporaryFolder } from "./bundle-places.ts";

test("what is packed comes back, byte by byte, with pyvene's copies and the card", async () => {
  const folder = await sampleFolder();
  const file = join(await temporaryFolder(), "sample.tgz");
  const packed = await packBundle(folder, file);
  const bytes = await readFile(file);
  expect(packed).toMatchObject({ size: bytes.length, sha256: sha256Of(bytes), notices: [] });
  const names = ["README.md", "config.json", "intervention.json", "intervention.safetensors"];
  expect(packed.files.map(({ name }) => name)).toEqual([...names, `intkey_${addition.key}.bin`].sort());
  const target = join(await temporaryFolder(), "deep", "copy");
  const unpacked = await unpackBundle(file, target);
  expect(unpacked.files).toEqual(packed.files);
  expect(unpacked.manifest.name).toBe("sample");
  expect(await contentsOf(target)).toEqual(await contentsOf(folder));
});

test("tar and gzip of the system read it, and vene reads theirs", async () => {
  const folder = await sampleFolder();
  const file = join(await temporaryFolder(), "sample.tgz");
  const { files } = await packBundle(folder, file);
  const listed = execFileSync("tar", ["-tzf", file], { encoding: "utf8" }).trim().split("\n");
  expect(listed).toEqual(files.map(({ name }) => name));
  const theirs = join(await temporaryFolder(), "theirs.tgz");
  execFileSync("tar", ["-czf", theirs, "-C", folder, ...listed]);
  const target = join(await temporaryFolder(), "copy");
  await unpackBundle(theirs, target);
  expect(await contentsOf(target)).toEqual(await contentsOf(folder));
});

test("a bundle has the same bytes whatever times, modes and place its files have, on any machine", async () => {
  const folder = await sampleFolder();
  const [one, two] = [join(await temporaryFolder(), "a.tgz"), join(await temporaryFolder(), "b.tgz")];
  const { sha256 } = await packBundle(folder, one);
  for (const name of Object.keys(await contentsOf(folder))) {
    await utimes(join(folder, name), 1, 1);
    await chmod(join(folder, name), 0o755);
  }
  const moved = join(await temporaryFolder(), "elsewhere");
  await rename(folder, moved);
  expect((await packBundle(moved, two)).sha256).toBe(sha256);
  const bytes = await readFile(one);
  expect([...bytes.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
});

/** The bytes a bundle of these files has, by the rules and not by the product. */
function expectedBundle(files: readonly (readonly [name: string, content: Uint8Array])[]): Buffer {
  const blocks = files.flatMap(([name, content]) => {
    const header = Buffer.alloc(512);
    const put = (at: number, text: string) => header.write(text, at, "latin1");
    put(0, name);
    put(100, "000644 \0");
    put(124, `${content.length.toString(8).padStart(10, "0")} \0`);
    put(136, "0000000000 \0        0");
    put(257, "ustar\x0000");
    put(329, "000000 \x00000000 \0");
    const sum = header.reduce((total, byte) => total + byte, 0);
    put(148, `${sum.toString(8).padStart(6, "0")} \0`);
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  const tar = Buffer.concat([...blocks, Buffer.alloc(1024)]);
  const pieces: Uint8Array[] = [Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff)];
  for (let at = 0; at < tar.length; at += 65535) {
    const piece = tar.subarray(at, at + 65535);
    const head = Buffer.alloc(5);
    head[0] = at + 65535 >= tar.length ? 1 : 0;
    head.writeUInt16LE(piece.length, 1);
    head.writeUInt16LE(65535 - piece.length, 3);
    pieces.push(head, piece);
  }
  const end = Buffer.alloc(8);
  end.writeUInt32LE(crc32(tar), 0);
  end.writeUInt32LE(tar.length, 4);
  return Buffer.concat([...pieces, end]);
}

test("every byte of a bundle is what the rules say, also over several blocks", async () => {
  const folder = await sampleFolder();
  await rm(join(folder, "config.json"));
  await rm(join(folder, `intkey_${addition.key}.bin`));
  await writeFile(join(folder, "README.md"), "text ".repeat(40_000));
  await packBundle(folder, `${folder}.tgz`);
  const files = entriesOf(folder).map(({ name, content }) => [name, content!] as const);
  expect((await readFile(`${folder}.tgz`)).equals(expectedBundle(files))).toBe(true);
});

function additionAt(layer: number): Intervention {
  return {
    ...addition,
    key: `layer_${layer}_comp_block_output_unit_pos_nunit_1#0`,
    site: { layer, component: "block_output", unit: "pos" },
    tensors: { source: `v${layer}` },
  } as Intervention;
}

test("random artefacts: pack and unpack is identity, and packing is a function", async () => {
  const vectors = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 4, maxLength: 4 });
  const artefacts = fc.record({
    vectors: fc.array(vectors, { minLength: 1, maxLength: 5 }),
    name: fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?$/),
    summary: fc.string({ unit: "grapheme", maxLength: 60 }),
    pyvene: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(artefacts, async ({ vectors, name, summary, pyvene }) => {
      const interventions = vectors.map((_, layer) => additionAt(layer));
      const tensors = new Map(vectors.map((values, layer) => [`v${layer}`, Tensor.float32([4], values)]));
      const base = { model: null, architecture: null, layers: 8, hiddenSize: 4 };
      const folder = join(await temporaryFolder(), "artefact");
      const artefact = sample({ name, summary, base, interventions }, tensors);
      await writeArtefact(folder, artefact, { pyvene });
      const [one, two] = [`${folder}.tgz`, `${folder}-again.tgz`];
      const first = await packBundle(folder, one);
      expect((await packBundle(folder, two)).sha256).toBe(first.sha256);
      await unpackBundle(one, `${folder}-copy`);
      expect(await contentsOf(`${folder}-copy`)).toEqual(await contentsOf(folder));
    }),
    { numRuns: 12 },
  );
});

test("names longer than a tar header takes come back", async () => {
  const component = `model.${"layers[6].".repeat(8)}self_attn.o_proj.output`;
  const key = `comp_${component.replaceAll(".", "_")}_unit_pos_nunit_1#0`;
  const long = { ...addition, key, site: { module: component.slice(0, -7), side: "output", unit: "pos" } as const };
  const folder = join(await temporaryFolder(), "long");
  await writeArtefact(folder, sample({ interventions: [long as Intervention] }));
  const { files } = await packBundle(folder, `${folder}.tgz`);
  expect(Math.max(...files.map(({ name }) => name.length))).toBeGreaterThan(100);
  await unpackBundle(`${folder}.tgz`, `${folder}-copy`);
  expect(await contentsOf(`${folder}-copy`)).toEqual(await contentsOf(folder));
});

test("a bundle that must be of given files is held to them", async () => {
  const folder = await sampleFolder();
  const { files } = await packBundle(folder, `${folder}.tgz`);
  await unpackBundle(`${folder}.tgz`, `${folder}-copy`, { files });
  const others = [
    files.slice(1),
    [...files, { ...files[0]!, name: "model.sig" }],
    files.map((file) => ({ ...file, sha256: files[0]!.sha256 })),
    files.map((file) => ({ ...file, size: file.size + 1 })),
  ];
  for (const other of others) {
    const unpacking = unpackBundle(`${folder}.tgz`, `${folder}-other`, { files: other });
    await expect(unpacking).rejects.toMatchObject({ code: "bundle-invalid" });
  }
});

test("case 48: dotfiles and what is none of an artefact's stay out; links are refused", async () => {
  const folder = await sampleFolder();
  await writeFile(join(folder, ".env"), "TOKEN=secret");
  await mkdir(join(folder, "notes"));
  const { files, notices } = await packBundle(folder, `${folder}.tgz`);
  expect(files.map(({ name }) => name)).not.toContain(".env");
  expect(notices).toEqual(["not packed: .env, notes"]);
  const secret = join(await temporaryFolder(), "secret.md");
  await rename(join(folder, "README.md"), secret);
  await symlink(secret, join(folder, "README.md"));
  await expect(packBundle(folder, `${folder}.tgz`)).rejects.toMatchObject({ code: "bundle-invalid" });
});

test("a folder of the Hub's cache, whose files are links to blobs beside it, is packed", async () => {
  const folder = await sampleFolder();
  const repo = await temporaryFolder();
  const snapshot = join(repo, "snapshots", "a".repeat(40));
  await mkdir(snapshot, { recursive: true });
  await mkdir(join(repo, "blobs"));
  for (const { name, sha256 } of (await artefactFileDigests(folder)).files) {
    await rename(join(folder, name), join(repo, "blobs", sha256));
    await symlink(join("..", "..", "blobs", sha256), join(snapshot, name));
  }
  const { files } = await packBundle(snapshot, join(repo, "x.tgz"));
  expect(files.length).toBe(5);
  await unpackBundle(join(repo, "x.tgz"), join(repo, "copy"));
});

test("a folder that holds anything else is not replaced, an artefact is", async () => {
  const folder = await sampleFolder();
  await packBundle(folder, `${folder}.tgz`);
  await unpackBundle(`${folder}.tgz`, folder);
  const other = await temporaryFolder();
  await writeFile(join(other, "thesis.tex"), "x");
  await expect(unpackBundle(`${folder}.tgz`, other)).rejects.toMatchObject({ code: "write-failed" });
  expect(Object.keys(await contentsOf(other))).toEqual(["thesis.tex"]);
});

test("what pyvene saved has no manifest, and is no bundle", async () => {
  const folder = await sampleFolder();
  const copies = entriesOf(folder).filter(({ name }) => !name.startsWith("intervention."));
  const unpacking = unpackBundle(await bundleFile(tar(copies)), `${folder}-copy`);
  await expect(unpacking).rejects.toMatchObject({ code: "bundle-invalid" });
});
