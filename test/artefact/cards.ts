/** Reads what the tests look at in a card. */
import { parse } from "yaml";

/** The front matter as the Hub would read it. */
export function frontMatterOf(card: string): { [key: string]: unknown } {
  return parse(/^---\r?\n([\s\S]*?)\n---\r?\n/.exec(card)![1]!);
}
