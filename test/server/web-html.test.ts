/** The web page's HTML: whatever a name or a card holds, no tag, attribute or script of it survives. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { html } from "../../src/server/web/html.ts";
import { renderCard } from "../../src/server/web/markdown.ts";
import { sizeText } from "../../src/server/web/views.ts";

const fragments = [
  "<script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  "[a](javascript:alert(1))",
  "![x](http://evil/pixel.png)",
  "<!--",
  "]]>",
  "</article></body>",
  "&lt;b&gt;",
  "`",
  "``",
  "```",
  "**",
  "|",
  "| --- |",
  "- ",
  "# ",
  "---",
  "\n",
  "\r\n",
  "\u0000",
  "\u202e",
  "\ud800",
];
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...fragments), fc.string({ unit: "binary", maxLength: 6 })))
  .map((parts) => parts.join(""));

const allowed = /<\/?(?:p|ul|li|pre|h2|h3|h4|table|tr|th|td|code|b)>/g;

describe("html", () => {
  test("escapes text and joins what is HTML already", () => {
    const row = html`<td title="${"\"a\" & 'b'"}">${"<b>"}</td>`;
    expect(row.text).toBe('<td title="&#34;a&#34; &#38; &#39;b&#39;">&#60;b&#62;</td>');
    expect(html`<tr>${[row, html`<td>${7}</td>`]}${undefined}</tr>`.text).toBe(`<tr>${row.text}<td>7</td></tr>`);
  });

  test("an object that looks like HTML is not HTML", () => {
    const fake = JSON.parse('{"text":"<script>"}') as never;
    expect(() => html`${fake}`.text).toThrow();
  });

  test("control characters and marks that reorder text are replaced; letters of any script stay", () => {
    expect(html`${"a\u0000b\u001bc\u202egnp.exe\u2066"}`.text).toBe("a\ufffdb\ufffdc\ufffdgnp.exe\ufffd");
    expect(html`${"tab\tline\nمرحبا 你好 é 😀"}`.text).toBe("tab\tline\nمرحبا 你好 é 😀");
  });

  test("no text gets out of an element or an attribute", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(html`${text}`.text).not.toMatch(/[<>"'`]/);
      }),
      { numRuns: 500 },
    );
  });
});

describe("cards", () => {
  test("headings, paragraphs, lists, tables, code and bold", () => {
    const readme = [
      "---",
      "license: mit",
      "---",
      "# Title",
      "Some `code` and **bold**",
      "over two lines.",
      "",
      "- one",
      "- two with `x`",
      "",
      "| a | b |",
      "| --- | ---: |",
      "| 1 | **2** |",
      "## Use",
      "```js",
      "const a = 1 < 2; // ** not bold **",
      "```",
    ].join("\r\n");
    expect(renderCard(readme).text).toBe(
      "<h2>Title</h2><p>Some <code>code</code> and <b>bold</b>\nover two lines.</p>" +
        "<ul><li>one</li><li>two with <code>x</code></li></ul>" +
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td><b>2</b></td></tr></table>" +
        "<h3>Use</h3><pre>const a = 1 &#60; 2; // ** not bold **</pre>",
    );
  });

  test("marks without a partner, an open fence, an open front matter stay text", () => {
    expect(renderCard("a ` b").text).toBe("<p>a &#96; b</p>");
    expect(renderCard("2 ** 3").text).toBe("<p>2 ** 3</p>");
    expect(renderCard("`a` ` b").text).toBe("<p><code>a</code> &#96; b</p>");
    expect(renderCard("```\nto the end").text).toBe("<pre>to the end</pre>");
    expect(renderCard("---\na: b").text).toBe("<p>---\na: b</p>");
    expect(renderCard("").text).toBe("");
    expect(renderCard("---\n---").text).toBe("");
  });

  test("raw HTML, links and images stay text", () => {
    const { text } = renderCard('<script>alert(1)</script>\n[a](javascript:x) ![b](http://c/d.png "e")');
    expect(text.replace(allowed, "")).not.toMatch(/[<>]/);
    expect(text).not.toContain("href");
    expect(text).toContain("[a](javascript:x)");
  });

  test("any card gives only the tags of the subset, without attributes, each closed", () => {
    fc.assert(
      fc.property(hostile, (readme) => {
        const { text } = renderCard(readme);
        expect(text.replace(allowed, "")).not.toMatch(/[<>"'`]/);
        const open: string[] = [];
        for (const [tag] of text.matchAll(allowed)) {
          if (tag.startsWith("</")) expect(open.pop()).toBe(tag.replace("/", ""));
          else open.push(tag);
        }
        expect(open).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  test("long cards of marks are read in one go", () => {
    for (const piece of ["`", "**", "|", "- ", "#", "```\n", "---\n", "*`"]) {
      expect(renderCard(piece.repeat(80_000)).text.length).toBeGreaterThan(0);
    }
  });
});

test("sizes in powers of 1000", () => {
  expect([0, 1, 999, 1000, 1500, 12_000_000, 2 ** 40, 1e18].map(sizeText)).toEqual([
    "0 B",
    "1 B",
    "999 B",
    "1.0 kB",
    "1.5 kB",
    "12.0 MB",
    "1.1 TB",
    "1000000.0 TB",
  ]);
});
