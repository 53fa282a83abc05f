/** HTML in template strings: everything interpolated is escaped, unless it is HTML that was made here. */

/** Text that is safe to send as it is. Only `html` makes one. */
export class Html {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  static of(strings: TemplateStringsArray, values: readonly HtmlValue[]): Html {
    return new Html(strings.reduce((text, string, i) => text + textOf(values[i - 1]) + string));
  }
}

export type HtmlValue = string | number | Html | undefined | readonly HtmlValue[];

/** Lists are joined, undefined is nothing; text is fit for element content and for attributes in double quotes. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.of(strings, values);
}

function textOf(value: HtmlValue): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.text;
  if (typeof value === "object") return value.map(textOf).join("");
  return escapeText(String(value));
}

/**
 * Control characters, which HTML forbids, and the marks that reorder text, with which a name can be made to read as another,
 * become U+FFFD.
 */
function escapeText(text: string): string {
  return text
    .replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/[^\P{Cc}\t\n]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}
