/** Builds a Hub cache as Python's huggingface_hub lays it out, file by file, so that tests can also build damaged ones. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";

export const sha256 = (content: string) => createHash("sha256").update(content).digest("hex");
export const gitSha1 = (content: string) =>
  createHash("sha1")
    .update(`blob ${Buffer.byteLength(content)}\0${content}`)
    .digest("hex");

/** A commit id made of one digit. */
export const commit = (digit: string) => digit.repeat(40);

export class PythonCache {
  readonly root = mkdtempSync(join(tmpdir(), "vene-cache-"));

  get hub() {
    return { cacheFolder: this.root };
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  write(path: string, content: string): string {
    const place = this.path(path);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, content);
    return place;
  }

  /** A blob and a link to it in the snapshot. Names are repository folders: "models--lab--x". */
  add(repo: string, revision: string, path: string, content: string, lfs = false): string {
    const blob = this.write(`${repo}/blobs/${lfs ? sha256(content) : gitSha1(content)}`, content);
    this.link(repo, revision, path, blob);
    return blob;
  }

  link(repo: string, revision: string, path: string, target: string): string {
    const place = this.path(repo, "snapshots", revision, path);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(relative(dirname(place), target), place);
    return place;
  }

  ref(repo: string, name: string, revision: string): void {
    this.write(`${repo}/refs/${name}`, revision);
  }

  /** Everything was last touched two hours ago. */
  age(): void {
    const then = Date.now() / 1000 - 7200;
    const all = readdirSync(this.root, { recursive: true, withFileTypes: true });
    for (const entry of all.reverse()) {
      if (!entry.isSymbolicLink()) utimesSync(join(entry.parentPath, entry.name), then, then);
    }
  }

  /** All files and links, relative, sorted. */
  get kept(): string[] {
    return readdirSync(this.root, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(this.root, join(entry.parentPath, entry.name)))
      .sort();
  }
}
