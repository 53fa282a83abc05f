/** README.md of an artefact: a model card for the Hub, in which nothing from the manifest can act as markup. */
import type { Manifest } from "../spec/manifest.ts";
import { formatSite } from "../spec/sites.ts";
import { formatTokensPolicy } from "../spec/tokens.ts";
import { escapeMarkdown, yamlString } from "./escape.ts";

const MAX_ROWS = 64;
const hubId = /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/;

/** The card: front matter the Hub indexes, what the artefact does and where, and how to apply it. */
export function renderCard(manifest: Manifest, options: { readonly pyvene: boolean }): string {
  const sections = [
    frontMatter(manifest, options.pyvene),
    `# ${escapeMarkdown(manifest.name)}`,
    escapeMarkdown(manifest.summary),
    baseLine(manifest),
    interventionTable(manifest),
    usage(manifest, options.pyvene),
    evaluationTable(manifest),
    provenanceLines(manifest),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

function frontMatter({ license, base }: Manifest, pyvene: boolean): string {
  const tags = ["vene", "intervention", "activation-steering", ...(pyvene ? ["pyvene"] : [])];
  return [
    "---",
    "library_name: vene",
    `license: ${yamlString(license)}`,
    ...(base.model !== null && hubId.test(base.model)
      ? [`base_model: ${yamlString(base.model)}`, "base_model_relation: adapter"]
      : []),
    "tags:",
    ...tags.map((tag) => `- ${tag}`),
    "---",
  ].join("\n");
}

function baseLine({ base, interventions, mode }: Manifest): string {
  const count = interventions.length === 1 ? "One intervention" : `${interventions.length} interventions (${mode})`;
  if (base.model === null) return `${count}. The model it was made for is not recorded.`;
  const facts = [
    base.revision === undefined ? "" : `revision ${base.revision}`,
    base.architecture ?? "",
    base.layers === null ? "" : `${base.layers} layers`,
    base.hiddenSize === null ? "" : `hidden size ${base.hiddenSize}`,
  ].filter((fact) => fact !== "");
  const known = facts.length === 0 ? "" : ` (${facts.join(", ")})`;
  return escapeMarkdown(`${count} for ${base.model}${known}.`);
}

function interventionTable({ interventions }: Manifest): string {
  const rows = interventions
    .slice(0, MAX_ROWS)
    .map(({ kind, site, strength, tokens }) => [
      kind,
      formatSite(site),
      `${strength.default} (${strength.min} to ${strength.max})`,
      formatTokensPolicy(tokens),
    ]);
  const more = interventions.length - MAX_ROWS;
  const table = markdownTable(["kind", "site", "strength", "tokens"], rows);
  return more > 0 ? `${table}\n\nand ${more} more.` : table;
}

function usage({ base }: Manifest, pyvene: boolean): string {
  const model = base.model !== null && hubId.test(base.model) ? base.model : "<model>";
  const lines = [
    "## Use",
    "",
    "With [vene](https://www.npmjs.com/package/vene), where `.` is this folder or the id of this repository:",
    "",
    "```sh",
    `vene generate --model ${model} --intervention . "your prompt"`,
    "```",
  ];
  if (pyvene) lines.push("", "With pyvene: `pyvene.IntervenableModel.load(<this folder>, model)`.");
  return lines.join("\n");
}

function evaluationTable({ evaluation }: Manifest): string {
  if (evaluation === undefined || evaluation.length === 0) return "";
  const rows = evaluation
    .slice(0, MAX_ROWS)
    .map(({ name, split, metric, value, baseline, n }) => [
      split === undefined ? name : `${name} (${split})`,
      metric,
      String(value),
      baseline === undefined ? "" : String(baseline),
      n === undefined ? "" : String(n),
    ]);
  return `## Evaluation\n\n${markdownTable(["data", "metric", "with it", "without it", "n"], rows)}`;
}

function provenanceLines({ provenance }: Manifest): string {
  if (provenance === undefined) return "";
  const { method, description, data, tool, sourceFiles } = provenance;
  const lines = [
    method === undefined ? "" : `Method: ${method}`,
    description === undefined ? "" : description,
    ...(data ?? []).slice(0, MAX_ROWS).map((source) => `Data: ${source}`),
    ...(sourceFiles ?? []).slice(0, MAX_ROWS).map(({ name, sha256 }) => `Source: ${name}, sha256 ${sha256}`),
    `Made with ${tool.name} ${tool.version}`,
  ];
  return `## Provenance\n\n${lines
    .filter((line) => line !== "")
    .map((line) => `- ${escapeMarkdown(line)}`)
    .join("\n")}`;
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escapeMarkdown).join(" | ")} |`;
  return [line(head), `|${head.map(() => " --- |").join("")}`, ...rows.map(line)].join("\n");
}
