/** Registries and artefacts in temporary folders, and a web server over any of them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll } from "@jest/globals";
import { readArtefact, writeArtefact } from "../../src/artefact/read.ts";
import { sha256Of } from "../../src/base/digest.ts";
import { initRegistry } from "../../src/registry/init.ts";
import { type PublishOptions, publishIntervention } from "../../src/registry/publish.ts";
import type { Base } from "../../src/spec/manifest.ts";

export const honest = join(import.meta.dirname, "../../examples/truthful-tiny/honest");

const folders: string[] = [];
const servers: Server[] = [];

afterAll(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "vene-registry-"));
  folders.push(folder);
  return folder;
}

export interface ArtefactChanges {
  readonly summary?: string;
  readonly base?: Partial<Base>;
  readonly license?: string;
}

/** An artefact in a folder of its own; another summary makes other bytes. */
export async function artefact({ base, ...changes }: ArtefactChanges = {}): Promise<string> {
  const { artefact: made } = await readArtefact(honest);
  const folder = join(scratch(), "artefact");
  const manifest = { ...made.manifest, ...changes, base: { ...made.manifest.base, ...base } };
  await writeArtefact(folder, { ...made, manifest }, { pyvene: false });
  return folder;
}

/** Options of one machine: its own memory, and no environment variables. */
export function machine(registry: string | readonly string[], variables: Record<string, string> = {}) {
  return { registry, cacheFolder: scratch(), hub: { variables: { HOME: "/nowhere", ...variables } } };
}

export type Machine = ReturnType<typeof machine>;

/** An empty registry in a folder. */
export async function emptyRegistry(name = "lab", namespace?: string): Promise<string> {
  const folder = scratch();
  await initRegistry({ ...machine(folder), name, ...(namespace === undefined ? {} : { namespace }) });
  return folder;
}

/** Publishes an artefact whose bytes follow from name and version. */
export async function publish(to: Machine, name: string, version: string, more: Partial<PublishOptions> = {}) {
  const folder = await artefact({ summary: `${name} ${version}` });
  return publishIntervention(folder, { ...to, at: "2026-11-23T06:00:00Z", ...more, name, version });
}

/** Every file below a folder with its digest, but for locks. */
export function treeOf(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
  return Object.fromEntries(paths.map((path) => [path, sha256Of(readFileSync(join(folder, path)))]));
}

export interface WebServer {
  readonly url: string;
  /** Paths that were asked for, with the status of the answer. */
  readonly seen: { readonly path: string; readonly status: number }[];
  stop(): void;
}

/** Serves a folder with ETags and ranges, as web servers do. */
export async function serve(folder: string): Promise<WebServer> {
  const seen: { path: string; status: number }[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://x").pathname);
    const file = join(folder, path);
    const there = statSync(file, { throwIfNoEntry: false })?.isFile() === true;
    const bytes = there ? readFileSync(file) : Buffer.from("<html>not here</html>");
    const etag = `"${sha256Of(bytes)}"`;
    const status = !there ? 404 : request.headers["if-none-match"] === etag ? 304 : 200;
    seen.push({ path, status });
    response.writeHead(status, { etag, "content-length": status === 304 ? 0 : bytes.length });
    response.end(status === 304 || request.method === "HEAD" ? undefined : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  const { port } = server.address() as AddressInfo;
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, seen, stop };
}
