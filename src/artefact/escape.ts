/** Text from a manifest made harmless for Markdown and YAML: it shows as written and starts nothing. */

/** Control characters, and those that reorder or hide text. */
const invisible = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Cs}]+/gu;

/** `text` on one line: white space becomes single spaces, and what shows nothing or reorders text goes. */
export function plainLine(text: string): string {
  return text.replace(/\s+/g, " ").replace(invisible, "").trim();
}

/** One line of Markdown that shows `text`: HTML becomes entities, and whatever could be markup or a link is escaped. */
export function escapeMarkdown(text: string): string {
  return plainLine(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/[\\`*[\]{}|~#$!]/g, "\\$&")
    .replace(/(?<!\w)_|_(?!\w)/g, "\\_")
    .replace(/^([-+=])/, "\\$1")
    .replace(/^(\d+)([.)])(?=\s|$)/, "$1\\$2")
    .replace(/(\w):\/\//g, "$1&#58;//");
}
