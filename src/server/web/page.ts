/** The frame of every page: title, styles, and the headers that keep a page from being anything but text. */
import { createHash } from "node:crypto";
import { type Answer, text } from "../http/answer.ts";
import { type Html, html } from "./html.ts";

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
a { color: #0550ae; text-decoration: none } a:hover { text-decoration: underline }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2rem } h3, h4 { font-size: 1rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ddd; vertical-align: top }
td { overflow-wrap: anywhere } code, pre { font: .85rem ui-monospace, monospace } pre { padding: .8rem; overflow-x: auto; background: #f4f4f4 }
article { padding: 0 1rem; border: 1px solid #ddd; border-radius: .4rem } small { color: #666; font-weight: normal }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1b1b1b } a { color: #79b8ff } pre { background: #262626 } th, td, article { border-color: #444 } small { color: #999 } }
`;

/** No scripts, no frames, no forms, nothing from anywhere; the one style sheet above. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Built by hand: the digest covers the style sheet's bytes as they are. */
export function page(title: string, body: Html): Answer {
  const head = html`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>`;
  const content = `${head.text}<style>${STYLE}</style></head>${html`<body>${body}</body></html>`.text}\n`;
  return text(content, "text/html; charset=utf-8", 200, {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "private, no-cache",
  });
}
