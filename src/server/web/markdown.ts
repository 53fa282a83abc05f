/** The Markdown that model cards are mostly made of, as HTML: raw HTML, links and images stay the text that they are. */
import { type Html, html } from "./html.ts";

/** The card without its front matter: headings, paragraphs, lists, tables, code and bold, and everything else as text. */
export function renderCard(readme: string): Html {
  const lines = readme.replace(/\r\n?/g, "\n").split("\n");
  const blocks: Html[] = [];
  for (let at = afterFrontMatter(lines); at < lines.length; ) {
    const { end, block } = nextBlock(lines, at);
    if (block) blocks.push(block);
    at = end;
  }
  return html`${blocks}`;
}

function afterFrontMatter(lines: readonly string[]): number {
  if (lines[0]?.trimEnd() !== "---") return 0;
  const end = lines.findIndex((line, at) => at > 0 && line.trimEnd() === "---");
  return end < 0 ? 0 : end + 1;
}

interface Block {
  /** The line after it. */
  end: number;
  block: Html | undefined;
}

function nextBlock(lines: readonly string[], at: number): Block {
  const line = lines[at]!;
  if (line.trim() === "") return { end: at + 1, block: undefined };
  if (line.startsWith("```")) return code(lines, at);
  if (/^#{1,6} /.test(line)) return { end: at + 1, block: heading(line) };
  const list = run(lines, at, isItem);
  if (list.length > 0) return { end: at + list.length, block: html`<ul>${list.map(item)}</ul>` };
  const rows = run(lines, at, isRow);
  if (rows.length > 0) return { end: at + rows.length, block: table(rows) };
  const paragraph = run(lines, at, isPlain);
  return { end: at + paragraph.length, block: html`<p>${inline(paragraph.join("\n"))}</p>` };
}

function run(lines: readonly string[], from: number, fits: (line: string) => boolean): readonly string[] {
  let end = from;
  while (end < lines.length && fits(lines[end]!)) end++;
  return lines.slice(from, end);
}

const isItem = (line: string): boolean => /^ {0,8}[-*] /.test(line);
const isRow = (line: string): boolean => line.startsWith("|");
const isPlain = (line: string): boolean =>
  line.trim() !== "" && !line.startsWith("```") && !/^#{1,6} /.test(line) && !isItem(line) && !isRow(line);

/** To the closing fence, or to the end when there is none. */
function code(lines: readonly string[], at: number): Block {
  const body = run(lines, at + 1, (line) => !line.startsWith("```"));
  return { end: at + body.length + 2, block: html`<pre>${body.join("\n")}</pre>` };
}

/** The page's own title is the only h1. */
function heading(line: string): Html {
  const text = inline(line.replace(/^#+ /, ""));
  if (line.startsWith("# ")) return html`<h2>${text}</h2>`;
  return line.startsWith("## ") ? html`<h3>${text}</h3>` : html`<h4>${text}</h4>`;
}

function item(line: string): Html {
  return html`<li>${inline(line.trimStart().slice(2))}</li>`;
}

/** The row of dashes under the head is left out. */
function table(rows: readonly string[]): Html {
  const cells = rows
    .filter((row) => !/^[|:\s-]+$/.test(row))
    .map((row) =>
      row
        .trim()
        .replace(/^\||\|$/g, "")
        .split("|"),
    );
  const [head = [], ...body] = cells;
  return html`<table><tr>${head.map((cell) => html`<th>${inline(cell.trim())}</th>`)}</tr>${body.map(
    (row) => html`<tr>${row.map((cell) => html`<td>${inline(cell.trim())}</td>`)}</tr>`,
  )}</table>`;
}

/** `code` and **bold**: what lies between two marks; a mark without a partner is text. */
function inline(text: string): Html {
  return html`${pieces(text, "`").map((piece, i) => (i % 2 === 1 ? html`<code>${piece}</code>` : bold(piece)))}`;
}

function bold(text: string): Html {
  return html`${pieces(text, "**").map((piece, i) => (i % 2 === 1 ? html`<b>${piece}</b>` : piece))}`;
}

/** Split at a mark, an odd number of pieces: the last mark is kept as text where it opens nothing. */
function pieces(text: string, mark: string): readonly string[] {
  const parts = text.split(mark);
  if (parts.length % 2 === 1) return parts;
  return [...parts.slice(0, -2), parts.slice(-2).join(mark)];
}
