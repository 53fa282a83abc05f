/** Describes a model: family, sizes, and the components that interventions can name. */
import type { Model } from "../../index.ts";
import { renderFacts, renderTable } from "../table.ts";
import type { Report } from "./report.ts";

export function describeModel(model: Model): Report {
  const { name, folder, architecture, shape, fingerprint, parameters, tokenizer, chatTemplate, eosTokenIds } = model;
  const components = model.sites.components().map(([component, place]) => ({
    component,
    // Attention weights are as wide as the positions attended to.
    width: place.attention === undefined ? place.width : null,
    heads: place.heads ?? (place.attention === undefined ? null : { count: place.attention.heads, size: null }),
    readOnly: place.attention !== undefined,
    value: place.name ?? place.value,
  }));
  const sizes = {
    layers: shape.layers,
    hiddenSize: shape.hiddenSize,
    vocabularySize: shape.vocabularySize,
    contextLength: shape.contextLength,
  };
  const language = { tokenizer: tokenizer !== undefined, chatTemplate: chatTemplate !== undefined, eosTokenIds };
  const inputs = shape.tensors?.inputs ?? null;
  const sizeFacts = [
    ["layers", String(sizes.layers)],
    ["hidden size", String(sizes.hiddenSize)],
    ["vocabulary", String(sizes.vocabularySize)],
    ["context", `${sizes.contextLength} tokens`],
  ] as const;
  const facts = renderFacts([
    ["model", name],
    ["family", architecture],
    ...(inputs === null ? sizeFacts : [["takes", inputs.map(inputText).join(", ")] as const]),
    ["parameters", `${parameters.count} (${parameters.dtypes.join(", ")})`],
    ["tokenizer", language.tokenizer ? "yes" : "no: prompts must be token ids"],
    ["chat template", language.chatTemplate ? "yes" : "no"],
    ["fingerprint", fingerprint],
  ]);
  const table = renderTable(
    [
      { title: "component" },
      { title: "width", align: "right" },
      { title: "heads", align: "right" },
      { title: "head size", align: "right" },
      { title: "value in layer 0" },
    ],
    components.map(({ component, width, heads, readOnly, value }) => [
      readOnly ? `${component} (read only)` : component,
      width === null ? "varies" : String(width),
      heads === null ? "" : String(heads.count),
      heads === null || heads.size === null ? "" : String(heads.size),
      value,
    ]),
  );
  return {
    json: {
      is: "model",
      name,
      folder,
      family: architecture,
      ...sizes,
      inputs,
      parameters,
      ...language,
      fingerprint,
      components,
    },
    text: `${facts}\n${table}`,
    notices: [],
  };
}

type Input = NonNullable<Model["shape"]["tensors"]>["inputs"][number];

function inputText({ name, dtype, shape }: Input): string {
  return `${name}: ${dtype} [${shape.join(", ")}]`;
}
