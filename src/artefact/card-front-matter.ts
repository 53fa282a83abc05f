/** Front matter of a card: what the Hub indexes, merged into what the user wrote there. */
import { type Document, isMap, parseDocument, Scalar, visit, Document as YamlDocument } from "yaml";
import { messageOf } from "../base/errors.ts";
import { kinds } from "../spec/kinds.ts";
import type { Evaluation, Manifest } from "../spec/manifest.ts";
import { cardFault } from "./card-text.ts";
import { plainLine } from "./escape.ts";
import { licenseFields } from "./hub-licenses.ts";

const hubId = /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/;
const MAX_RESULTS = 64;
const ownTags = ["vene", "intervention", "activation-steering"];

/** The base's id where the Hub can link to it. */
export function baseId({ base }: Manifest): string | undefined {
  return base.model !== null && hubId.test(base.model) ? base.model : undefined;
}

/**
 * YAML without the lines of dashes. Keys of vene's are set, others stay with their comments; licence and base that the
 * manifest does not know stay, too. Throws `card-invalid`.
 */
export function frontMatter(manifest: Manifest, pyvene: boolean, before: string | undefined): string {
  try {
    const document = parsed(before ?? "");
    const old = document.toJS({ maxAliasCount: 100 }) as { readonly [key: string]: unknown };
    for (const [key, value] of Object.entries(fields(manifest, pyvene, old))) {
      if (value === undefined) document.delete(key);
      else document.set(key, quoted(document, value));
    }
    return document.toString({ lineWidth: 0, flowCollectionPadding: false });
  } catch (cause) {
    throw cardFault(`the front matter of README.md cannot be updated: ${messageOf(cause).split("\n")[0]}`, cause);
  }
}

/** The first one's keys, then those that only the second one has; tags of both. Throws `card-invalid`. */
export function mergeFrontMatter(first: string, second: string): string {
  try {
    const document = parsed(first);
    const [mine, theirs] = [document, parsed(second)].map((one) => one.toJS({ maxAliasCount: 100 }));
    for (const [key, value] of Object.entries(theirs)) {
      if (!Object.hasOwn(mine, key)) document.set(key, quoted(document, value));
    }
    const tags = [mine["tags"], theirs["tags"]].flat().filter((tag) => typeof tag === "string");
    if (tags.length > 0) document.set("tags", quoted(document, [...new Set(tags)]));
    return document.toString({ lineWidth: 0, flowCollectionPadding: false });
  } catch (cause) {
    throw cardFault(`the front matter of README.md cannot be merged: ${messageOf(cause).split("\n")[0]}`, cause);
  }
}

function parsed(text: string): Document {
  const document = parseDocument(text, { prettyErrors: true, logLevel: "error" });
  if (document.errors.length > 0) throw document.errors[0]!;
  if (document.contents === null) {
    const empty = new YamlDocument({});
    empty.commentBefore = document.commentBefore ?? document.comment;
    return empty;
  }
  if (!isMap(document.contents)) throw new Error("it is no list of keys and values");
  return document;
}

/** vene's keys in the order of a new card; undefined removes one. */
function fields(manifest: Manifest, pyvene: boolean, old: { readonly [key: string]: unknown }) {
  const base = baseId(manifest);
  const unlicensed = manifest.license === "unknown" && typeof old["license"] === "string";
  const { license, license_name } = licenseFields(manifest.license);
  const nameOfLicense = license === "other" ? (license_name ?? old["license_name"]) : undefined;
  return {
    library_name: "vene",
    ...(unlicensed ? {} : { license, license_name: nameOfLicense }),
    ...(base === undefined ? {} : { base_model: base, base_model_relation: "adapter" }),
    pipeline_tag: old["pipeline_tag"] ?? "text-generation",
    tags: tagsOf(manifest, pyvene, old["tags"]),
    "model-index": modelIndex(manifest, old["model-index"]),
  };
}

/** vene's tags, then the user's. A tag that vene sets for what is no longer true goes. */
function tagsOf({ interventions }: Manifest, pyvene: boolean, old: unknown): readonly string[] {
  const used = kinds.filter((kind) => interventions.some((intervention) => intervention.kind === kind));
  const mine: readonly string[] = [...ownTags, ...used, ...(pyvene ? ["pyvene"] : [])];
  const before = (Array.isArray(old) ? old : [old]).filter((tag): tag is string => typeof tag === "string");
  const sometimes: readonly string[] = [...kinds, "pyvene"];
  return [...new Set([...mine, ...before.filter((tag) => !sometimes.includes(tag))])];
}

/** The manifest's evaluation rows as one entry of the Hub's "model-index"; entries of other names stay. */
function modelIndex({ name, evaluation }: Manifest, old: unknown): readonly unknown[] | undefined {
  const others = (Array.isArray(old) ? old : []).filter((entry) => (entry as { name?: unknown } | null)?.name !== name);
  const results = (evaluation ?? []).slice(0, MAX_RESULTS).map(resultOf);
  const entries = results.length === 0 ? others : [{ name, results }, ...others];
  return entries.length === 0 ? undefined : entries;
}

function resultOf({ name, metric, split, value, baseline, n }: Evaluation) {
  const [data, measure] = [plainLine(name) || "?", plainLine(metric) || "?"];
  const args = n === undefined ? {} : { args: { n } };
  const plain = { type: measure, name: `${measure} without the intervention`, value: baseline, ...args };
  return {
    task: { type: "text-generation" },
    dataset: { type: data, name: data, ...(split === undefined ? {} : { split: plainLine(split) }) },
    metrics: [{ type: measure, name: measure, value, ...args }, ...(baseline === undefined ? [] : [plain])],
  };
}

/** Texts in quotes unless every YAML reads them as text without: 1.1, which Python's follows, has yes, no and 012. */
function quoted(document: Document, value: unknown) {
  const node = document.createNode(value, { aliasDuplicateObjects: false });
  visit(node, {
    Scalar: (key, scalar) => {
      if (key === "key" || typeof scalar.value !== "string") return;
      const plain = /^[a-z][a-z-]{3,}$/.test(scalar.value) && !/^(null|true|false)$/.test(scalar.value);
      if (!plain) scalar.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return node;
}
