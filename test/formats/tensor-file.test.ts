/** Files of tensors, whatever their format. */
import { writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-encode.ts";
import { withTensorFile } from "../../src/formats/tensor-file.ts";
import { fixture } from "../support/fixtures.ts";

async function listed(path: string): Promise<{ format: string; names: string[]; tensors: Tensor[] }> {
  return withTensorFile(path, async ({ format, tensors }) => {
    const found: (readonly [string, Tensor])[] = [];
    for await (const entry of tensors) found.push(entry);
    return { format, names: found.map(([name]) => name), tensors: found.map(([, tensor]) => tensor) };
  });
}

async function written(bytes: Uint8Array): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), "vene-tensors-")), "file.bin");
  writeFileSync(path, bytes);
  return path;
}

const vector = Tensor.float32([2], [1, 2]);

describe("the content decides, not the name", () => {
  test("safetensors", async () => {
    const path = await written(encodeSafetensors(new Map([["a.b", vector]])));
    expect(await listed(path)).toEqual({ format: "safetensors", names: ["a.b"], tensors: [vector] });
  });

  test("torch: nested places are joined by dots, other values left out", async () => {
    const { format, names } = await listed(fixture("torch", "nested.pt"));
    expect([format, names]).toEqual(["torch", ["tensor", "again", "list.0", "list.1.deep.0"]]);
  });

  test("GGUF and a bare tensor", async () => {
    const gguf = await listed(fixture("wild", "easysteer", "diffmean-1.gguf"));
    expect([gguf.format, gguf.names[0]]).toEqual(["gguf", "direction.0"]);
    expect((await listed(fixture("wild", "easysteer", "vec_ep20_layer15.pt"))).names).toEqual([""]);
  });
});

test("what is none of them gets a code", async () => {
  await expect(listed(await written(Buffer.from("hello")))).rejects.toMatchObject({ code: "zip-invalid" });
  await expect(listed(await written(Buffer.alloc(0)))).rejects.toMatchObject({ code: "zip-invalid" });
  await expect(listed("/no/such/file")).rejects.toMatchObject({ code: "file-missing" });
});
