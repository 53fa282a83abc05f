/** An embedded Hub behind a proxy that loses answers, refuses and rewrites as a test says. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HubServer, startHub } from "../../src/server/hub-server.ts";

/** What the proxy does with a request; "pass" hands it on. */
export type Whim = (request: IncomingMessage, response: ServerResponse) => "pass" | "lose" | "answered" | "drop";

export class FlakyHub {
  /** pass: as the Hub answers; lose: the Hub acts, the answer never comes; drop: neither; answered: the whim has answered. */
  whim: Whim = () => "pass";
  /** "METHOD /path?query" of every request, in order. */
  readonly seen: string[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), "vene-push-"));
  readonly #hub: HubServer;
  readonly #proxy: Server;

  static async start(): Promise<FlakyHub> {
    const dir = mkdtempSync(join(tmpdir(), "vene-push-hub-"));
    const tokens = [
      { token: writer, name: "me", role: "write" as const, organizations: ["lab"] },
      { token: reader, name: "you", role: "read" as const },
    ];
    const hub = new FlakyHub(await startHub({ dir, port: 0, tokens }));
    await new Promise<void>((resolve) => hub.#proxy.listen(0, "127.0.0.1", resolve));
    return hub;
  }

  private constructor(hub: HubServer) {
    this.#hub = hub;
    this.#proxy = createServer((request, response) => this.#serve(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#proxy.address() as AddressInfo).port}`;
  }

  /** For `hub:` options. */
  get options() {
    return { endpoint: this.url, token: writer, cacheFolder: join(this.folder, "cache") };
  }

  /** Commit requests that arrived. */
  get commits(): number {
    return this.seen.filter((line) => /^POST .*\/commit\//.test(line)).length;
  }

  /** A plain question to the Hub. */
  async ask(path: string): Promise<unknown> {
    const response = await fetch(this.#hub.url + path, { headers: { authorization: `Bearer ${writer}` } });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.headers.get("content-type")?.includes("json") ? response.json() : response.text();
  }

  /** A plain change. */
  async change(method: string, path: string, body: string): Promise<void> {
    const headers = { authorization: `Bearer ${writer}`, "content-type": "application/json" };
    const response = await fetch(this.#hub.url + path, { method, headers, body });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  }

  /** Commits a small file as somebody else would. */
  async commitFile(repo: string, path: string, content: string): Promise<void> {
    const file = { path, content: Buffer.from(content).toString("base64"), encoding: "base64" };
    const lines = [
      { key: "header", value: { summary: "by hand" } },
      { key: "file", value: file },
    ];
    await this.change("POST", `/api/models/${repo}/commit/main`, lines.map((line) => JSON.stringify(line)).join("\n"));
  }

  async close(): Promise<void> {
    this.#proxy.closeAllConnections();
    await new Promise((resolve) => this.#proxy.close(resolve));
    await this.#hub.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.seen.push(`${request.method} ${request.url}`);
    const what = this.whim(request, response);
    if (what === "answered") return;
    if (what === "drop") return void request.socket.destroy();
    const { hostname, port } = new URL(this.#hub.url);
    const headers = { ...request.headers, host: `${hostname}:${port}` };
    const onward = send({ hostname, port, method: request.method, path: request.url, headers }, (answer) => {
      if (what === "lose") {
        answer.resume();
        answer.on("end", () => request.socket.destroy());
        return;
      }
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => request.socket.destroy());
    request.pipe(onward);
  }
}

export const writer = "hf_writerwriterwriterwriter";
export const reader = "hf_readerreaderreaderreader";
