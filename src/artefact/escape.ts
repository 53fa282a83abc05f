/** Text from a manifest made harmless for Markdown and YAML: it shows as written and starts nothing. */

/** Control characters, and those that reorder or hide text. */
const invisible = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Cs}]+/gu;

/**
 * One line of Markdown that shows `text`: white space becomes single spaces, invisible characters go, HTML becomes entities,
 * and whatever Markdown could read as markup or as a link is escaped.
 */
export function escapeMarkdown(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(invisible, "")
    .trim()
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/[\\`*[\]{}|~#$!]/g, "\\$&")
    .replace(/(?<!\w)_|_(?!\w)/g, "\\_")
    .replace(/^([-+=])/, "\\$1")
    .replace(/^(\d+)([.)])/, "$1\\$2")
    .replace(/(\w):\/\//g, "$1&#58;//");
}

/** A double-quoted YAML scalar on one line; JSON's escapes are YAML's, and the rest of what YAML forbids is escaped too. */
export function yamlString(text: string): string {
  return JSON.stringify(text.replace(/\p{Surrogate}/gu, "\ufffd")).replace(
    /[\u007f-\u00a0\u2028\u2029\ufeff\ufffe\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
