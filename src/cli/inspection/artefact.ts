/** Describes an artefact: what it is for, and its interventions with their tensors. */
import type { Intervention, Manifest, ReadArtefact, SizeFacts } from "../../index.ts";
import { renderFacts, renderTable, shortNumber } from "../table.ts";
import { formatShape, type Report, shortDigest } from "./report.ts";
import { type TensorFacts, tensorDescriber } from "./tensors.ts";

const sourceTitles = { format1: "vene, format 1", pyvene: "pyvene", peft: "PEFT" } as const satisfies {
  readonly [S in ReadArtefact["source"]]: string;
};

export async function describeArtefact(read: ReadArtefact): Promise<Report> {
  const { formatSite, formatTokensPolicy, pyveneFit, sizeFacts } = await import("../../index.ts");
  const { artefact, source } = read;
  const { manifest } = artefact;
  const factsOf = tensorDescriber();
  const interventions = manifest.interventions.map((entry) => ({
    key: entry.key,
    kind: entry.kind,
    site: formatSite({ ...entry.site, unit: "pos" }),
    unit: entry.site.unit,
    tokens: formatTokensPolicy(entry.tokens),
    strength: entry.strength,
    ...(entry.dimension === null ? {} : { dimension: entry.dimension }),
    ...(entry.group === undefined ? {} : { group: entry.group }),
    ...(entry.link === undefined ? {} : { link: entry.link }),
    ...sizeFacts(artefact, entry),
    tensors: tensorFacts(entry, read, factsOf),
  }));
  const { name, summary, license, base, mode, provenance, evaluation } = manifest;
  const digest = Object.values(manifest.files)[0]!.sha256;
  const pyvene = pyveneFit(artefact);
  const trainable = trainableOf(interventions);
  const notices = [...read.notices, ...pyvene.notices];
  const facts = { name, summary, license, base, mode, interventions, trainable, pyvene, digest };
  return {
    json: { is: "artefact", source, ...facts, provenance: provenance ?? null, evaluation: evaluation ?? [], notices },
    text: [
      header(read, trainable, pyvene.loadable),
      interventionTable(interventions),
      tensorTable(interventions),
      evaluationTable(manifest),
    ]
      .filter((part) => part !== "")
      .join("\n"),
    notices,
  };
}

/** Numbers that training changes; those of linked interventions count once. */
function trainableOf(interventions: readonly InterventionFacts[]): number {
  const links = new Set<InterventionFacts["link"]>();
  return interventions.reduce((sum, { link, trainable }) => {
    if (link === undefined) return sum + trainable;
    const first = !links.has(link);
    links.add(link);
    return first ? sum + trainable : sum;
  }, 0);
}

interface InterventionFacts extends SizeFacts {
  readonly key: string;
  readonly kind: string;
  readonly site: string;
  readonly unit: string;
  readonly tokens: string;
  readonly strength: Intervention["strength"];
  readonly link?: Intervention["link"];
  readonly tensors: readonly (TensorFacts & { readonly role: string })[];
}

function tensorFacts(
  { tensors }: Intervention,
  { artefact }: ReadArtefact,
  factsOf: ReturnType<typeof tensorDescriber>,
): InterventionFacts["tensors"] {
  return Object.entries(tensors).flatMap(([role, name]) => {
    const tensor = name === undefined ? undefined : artefact.tensors.get(name);
    return tensor === undefined ? [] : [{ role, ...factsOf(name!, tensor) }];
  });
}

function header({ artefact: { manifest }, source }: ReadArtefact, trainable: number, loadable: boolean): string {
  const { base, provenance, interventions, mode } = manifest;
  const count = interventions.length;
  return renderFacts([
    ["intervention", manifest.name],
    ["summary", manifest.summary],
    ["saved by", sourceTitles[source]],
    ["licence", manifest.license],
    ["base", base.model ?? "not recorded"],
    ["base shape", baseShape(base)],
    ["fingerprint", base.fingerprint],
    ["mode", count === 1 ? mode : `${mode}, ${count} interventions`],
    ["trainable", trainable === 0 ? "nothing" : `${trainable} numbers`],
    ["for pyvene", loadable ? "yes" : "no"],
    ["method", provenance?.method],
    ["digest", Object.values(manifest.files)[0]!.sha256],
  ]);
}

function baseShape({ architecture, layers, hiddenSize }: Manifest["base"]): string {
  const parts = [
    architecture,
    layers === null ? null : `${layers} layers`,
    hiddenSize === null ? null : `hidden size ${hiddenSize}`,
  ];
  return parts.filter((part) => part !== null).join(", ");
}

function interventionTable(interventions: readonly InterventionFacts[]): string {
  const titles = ["key", "kind", "site", "unit", "dims", "strength", "tokens"];
  return renderTable(
    titles.map((title) => ({ title })),
    interventions.map(({ key, kind, site, unit, width, rank, latents, strength, tokens }) => [
      key,
      kind,
      site,
      unit,
      dims({ width, rank, latents }),
      `${strength.default} (${strength.min} to ${strength.max})`,
      tokens,
    ]),
  );
}

/** "576, rank 4" */
function dims({ width, rank, latents }: Pick<SizeFacts, "width" | "rank" | "latents">): string {
  const parts = [
    width === undefined ? "" : String(width),
    rank === undefined ? "" : `rank ${rank}`,
    latents === undefined ? "" : `${latents} latents`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function tensorTable(interventions: readonly InterventionFacts[]): string {
  const rows = interventions.flatMap(({ tensors }) => tensors);
  if (rows.length === 0) return "";
  return renderTable(
    [
      { title: "tensor" },
      { title: "dtype" },
      { title: "shape" },
      { title: "L2 norm", align: "right" },
      { title: "sha256" },
    ],
    rows.map(({ name, dtype, shape, norm, sha256 }) => [
      name,
      dtype,
      formatShape(shape),
      norm === null ? "" : shortNumber(norm),
      shortDigest(sha256),
    ]),
  );
}

function evaluationTable({ evaluation }: Manifest): string {
  if (evaluation === undefined || evaluation.length === 0) return "";
  const numeric = ["value", "baseline", "n"].map((title) => ({ title, align: "right" as const }));
  return renderTable(
    [{ title: "evaluation" }, { title: "metric" }, { title: "split" }, ...numeric],
    evaluation.map(({ name, metric, split, value, baseline, n }) => [
      name,
      metric,
      split ?? "",
      shortNumber(value),
      baseline === undefined ? "" : shortNumber(baseline),
      n === undefined ? "" : String(n),
    ]),
  );
}
