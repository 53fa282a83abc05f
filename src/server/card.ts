/** What the Hub reads from a README's front matter: tags, library, task, and whether it is YAML at all. */
import { isMap, parseDocument } from "yaml";
import { BoundedMap } from "./store/bounded-map.ts";
import type { Repository } from "./store/repository.ts";
import { entryAt } from "./store/trees.ts";

export interface Card {
  /** The front matter; empty when there is none. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly errors: readonly string[];
}

const NO_CARD: Card = { data: {}, errors: [] };
const MAX_FRONT_MATTER = 1 << 16;

/** Parses the front matter of a README. Never throws: what is wrong is in `errors`. */
export function readCard(content: string): Card {
  const text = content.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  const found = /^---[ \t]*\n(?:([\s\S]*?)\n)?---[ \t]*(?:\n|$)/.exec(text);
  if (found === null) return NO_CARD;
  const yaml = found[1] ?? "";
  if (yaml.length > MAX_FRONT_MATTER) return fault(`the front matter is longer than ${MAX_FRONT_MATTER} characters`);
  try {
    const document = parseDocument(yaml, { logLevel: "silent" });
    if (document.errors.length > 0) return fault(...document.errors.map(({ message }) => message));
    if (document.contents === null) return NO_CARD;
    if (!isMap(document.contents)) return fault("the front matter is no mapping");
    // By way of JSON: it is answered as JSON, and a mapping that contains itself must fail here.
    return { data: JSON.parse(JSON.stringify(document.toJS({ maxAliasCount: 50 }))), errors: [] };
  } catch (cause) {
    return fault(String(cause));
  }
}

function fault(...errors: string[]): Card {
  return { data: {}, errors };
}

const cards = new BoundedMap<string, Card>(2000);

/** The card of a commit; an empty one when there is no README or it does not parse. */
export async function cardAt({ objects }: Repository, commit: string): Promise<Card> {
  const entry = await entryAt(objects, (await objects.readCommit(commit)).tree, "README.md");
  if (entry?.kind !== "file") return NO_CARD;
  return cards.getOrMake(entry.oid, async () => readCard((await objects.readBlob(entry.oid)).toString("utf8")));
}

/** What models are found by: the card's own tags, and those that the Hub derives from other keys. */
export function tagsOf({ data }: Card): readonly string[] {
  const bases = texts(data["base_model"]);
  const [relation] = texts(data["base_model_relation"]);
  return [
    ...new Set([
      ...texts(data["library_name"]),
      ...texts(data["pipeline_tag"]),
      ...texts(data["tags"]),
      ...texts(data["datasets"]).map((id) => `dataset:${id}`),
      ...texts(data["language"]),
      ...bases.map((id) => `base_model:${id}`),
      ...(relation === undefined ? [] : bases.map((id) => `base_model:${relation}:${id}`)),
      ...texts(data["license"]).map((id) => `license:${id}`),
    ]),
  ];
}

/** A text or a list of texts. */
export function texts(value: unknown): readonly string[] {
  return (Array.isArray(value) ? value : [value]).filter((item) => typeof item === "string");
}
