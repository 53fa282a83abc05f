/** A 7B-shaped checkpoint compiles in flat memory. Needs about 14 GB of disk (42 GB to convert, too); run by npm run test:slow. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { importVectorDict } from "../../src/artefact/import-vectors.ts";
import { writeArtefact } from "../../src/artefact/read.ts";
import { fixture } from "../support/fixtures.ts";

const GB = 2 ** 30;

test("compiling and converting a 7B-shaped llama stays below 2 GB, and its 14 honest sites resolve", async () => {
  const scratch = await mkdtemp(join(tmpdir(), "vene-7b-"));
  try {
    const { bavail, bsize } = await statfs(scratch);
    const free = (bavail * bsize) / GB;
    process.stderr.write(`compile-7b: ${free.toFixed(0)} GB free in ${scratch}, 14 needed to compile, 42 to convert\n`);
    expect(free).toBeGreaterThan(14);
    const artefact = await importVectorDict(fixture("wild/pyvene/honest_llama2_chat_7B_o_proj_add_activations.bin"), {
      name: "honest-llama2-chat-7b",
      baseModel: "meta-llama/Llama-2-7b-chat-hf",
      architecture: "llama",
      layers: 32,
      hiddenSize: 4096,
      module: "model.layers[{layer}].self_attn.o_proj.output",
    });
    await writeArtefact(join(scratch, "honest"), artefact);
    const script = join(import.meta.dirname, "../../build/test/slow/compile-7b.js");
    const { stdout } = await promisify(execFile)(process.execPath, [
      script,
      join(scratch, "model"),
      join(scratch, "honest"),
      free > 42 ? "convert" : "",
    ]);
    const report = JSON.parse(stdout) as {
      places: { value: string; width: number }[];
      graphBytes: number;
      compilePeakMb: number;
      convertPeakMb: number;
    };
    process.stderr.write(`compile-7b: ${stdout}`);
    expect(report.places.map(({ value }) => value)).toEqual(
      [6, 9, 10, 11, 12, 13, 14, 15, 16, 21, 26, 27, 30, 31].map((n) => `model.layers.${n}.self_attn.o_proj.output`),
    );
    expect(report.places.every(({ width }) => width === 4096)).toBe(true);
    expect(report.graphBytes).toBeLessThan(1 << 20);
    expect(report.compilePeakMb).toBeLessThan(2048);
    expect(report.convertPeakMb).toBeLessThan(2048);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
