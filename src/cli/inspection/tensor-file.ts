/** Describes a file of tensors: vectors as torch, repeng (GGUF) and others save them. */
import { renderFacts, renderTable, shortNumber } from "../table.ts";
import { formatShape, type Report, shortDigest } from "./report.ts";
import { type TensorFacts, tensorDescriber } from "./tensors.ts";

const formatTitles = { torch: "torch (.bin, .pt)", safetensors: "safetensors", gguf: "GGUF" } as const;

export async function describeTensorFile(path: string): Promise<Report> {
  const { withTensorFile } = await import("../../index.ts");
  const { format, tensors } = await withTensorFile(path, async (file) => {
    const factsOf = tensorDescriber();
    const facts: TensorFacts[] = [];
    for await (const [name, tensor] of file.tensors) facts.push(factsOf(name, tensor));
    return { format: file.format, tensors: facts };
  });
  const header = renderFacts([
    ["file", path],
    ["format", formatTitles[format]],
    ["tensors", String(tensors.length)],
  ]);
  return { json: { is: "tensors", path, format, tensors }, text: `${header}\n${table(tensors)}`, notices: [] };
}

function table(tensors: readonly TensorFacts[]): string {
  const number = (value: number | null) => (value === null ? "" : shortNumber(value));
  const numeric = ["L2 norm", "min", "max"].map((title) => ({ title, align: "right" as const }));
  return renderTable(
    [{ title: "tensor" }, { title: "dtype" }, { title: "shape" }, ...numeric, { title: "sha256" }],
    tensors.map(({ name, dtype, shape, norm, min, max, sha256 }) => [
      name === "" ? "(the file itself)" : name,
      dtype,
      formatShape(shape),
      number(norm),
      number(min),
      number(max),
      shortDigest(sha256),
    ]),
  );
}
