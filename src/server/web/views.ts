/** The pages themselves: from plain values to HTML. */
import { type Html, html } from "./html.ts";

/** A repository in a list. */
export interface RepositoryRow {
  readonly fullName: string;
  readonly type: string;
  /** Absolute path on this server. */
  readonly href: string;
  readonly private: boolean;
}

export interface FileRow {
  readonly path: string;
  readonly href: string;
  /** Bytes. */
  readonly size: number;
  /** "sha256:…" of a large file, else "git-sha1:…". */
  readonly digest: string;
}

export interface CommitRow {
  readonly oid: string;
  readonly href: string;
  readonly title: string;
  readonly author: string;
  readonly date: Date;
}

export interface RepositoryView extends RepositoryRow {
  /** As it was asked for: a branch, a tag, a commit. */
  readonly revision: string;
  readonly refs: readonly { readonly name: string; readonly href: string }[];
  readonly card: Html | undefined;
  readonly files: readonly FileRow[];
  /** How many more there are than `files`. */
  readonly moreFiles: number;
  readonly commits: readonly CommitRow[];
}

export function repositoryList(rows: readonly RepositoryRow[]): Html {
  const list = html`<table><tr><th>Repository</th><th>Type</th></tr>${rows.map(
    (row) => html`<tr><td><a href="${row.href}">${row.fullName}</a>${lock(row)}</td><td>${row.type}</td></tr>`,
  )}</table>`;
  return html`<h1>vene hub</h1>${rows.length > 0 ? list : html`<p>No repositories to see here.</p>`}
<p><small>Private repositories are shown to requests that carry a token of their namespace.</small></p>`;
}

export function repositoryView(view: RepositoryView): Html {
  return html`<p><a href="/">vene hub</a></p>
<h1>${view.fullName} <small>${view.type}${lock(view)}</small></h1>
<p>${view.refs.map(({ name, href }) => html`<a href="${href}">${name}</a> `)}<small>shown: ${view.revision}</small></p>
${view.card && html`<article>${view.card}</article>`}
<h2>Files</h2>
<table><tr><th>Path</th><th>Size</th><th>Digest</th></tr>${view.files.map(fileRow)}</table>
${view.moreFiles > 0 ? html`<p>and ${view.moreFiles} more</p>` : undefined}
<h2>Commits</h2>
<table><tr><th>Commit</th><th>Title</th><th>By</th><th>When (UTC)</th></tr>${view.commits.map(commitRow)}</table>`;
}

function lock(row: RepositoryRow): Html | undefined {
  return row.private ? html` <small>private</small>` : undefined;
}

function fileRow({ path, href, size, digest }: FileRow): Html {
  return html`<tr><td><a href="${href}">${path}</a></td><td>${sizeText(size)}</td><td><code>${digest}</code></td></tr>`;
}

function commitRow({ oid, href, title, author, date }: CommitRow): Html {
  const when = date.toISOString().slice(0, 16).replace("T", " ");
  const link = html`<a href="${href}"><code>${oid.slice(0, 10)}</code></a>`;
  return html`<tr><td>${link}</td><td>${title}</td><td>${author}</td><td>${when}</td></tr>`;
}

/** "999 B", "1.5 kB", "12.0 MB": powers of 1000, as the Hub shows sizes. */
export function sizeText(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(Math.max(Math.floor(Math.log10(Math.max(size, 1)) / 3), 0), units.length - 1);
  return power === 0 ? `${size} B` : `${(size / 1000 ** power).toFixed(1)} ${units[power]}`;
}
