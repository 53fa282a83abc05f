/** Hubs over temporary folders, and requests to them. */
import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";
import { type HubServer, type HubServerOptions, startHub } from "../../src/server/hub-server.ts";

export const ann = { token: "hf_annannannannannann", name: "ann", role: "write" } as const;
export const bob = { token: "hf_bobbobbobbobbobbob", name: "bob", role: "write" } as const;
export const reader = { token: "hf_reareareareareareareader", name: "eve", role: "read" } as const;
export const root = { token: "hf_rootrootrootrootroot", name: "root", role: "admin" } as const;
export const users = [ann, bob, reader, root];

const folders: string[] = [];
const servers: HubServer[] = [];

afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

export async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "vene-hub-"));
  folders.push(made);
  return made;
}

/** A hub with the users above unless told otherwise; closed after the file's tests. */
export async function hub(options: Partial<HubServerOptions> = {}): Promise<HubServer & { readonly dir: string }> {
  const dir = options.dir ?? (await folder());
  const onFault = (fault: unknown) => console.error(fault);
  const server = await startHub({ tokens: users, onFault, ...options, dir });
  servers.push(server);
  return { ...server, dir };
}

export interface Sent {
  readonly method?: string;
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | object | undefined;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  /** The body as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever comes
  readonly json: any;
}

/** One request on its own connection, with headers that fetch would not send (Host, Origin). */
export function ask(url: string, { method = "GET", token, headers = {}, body }: Sent = {}): Promise<Reply> {
  const content =
    body === undefined || typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  const always = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(content !== undefined &&
      headers["transfer-encoding"] === undefined && { "content-length": String(Buffer.byteLength(content)) }),
  };
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { method, agent: false, headers: { ...always, ...headers } }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.once("error", reject).once("end", () => {
        const bytes = Buffer.concat(chunks);
        resolve({
          status: answer.statusCode!,
          headers: answer.headers as Record<string, string>,
          body: bytes,
          get json() {
            return JSON.parse(bytes.toString("utf8"));
          },
        });
      });
    });
    sent.once("error", reject).end(content);
  });
}

/** Sends raw bytes and gives everything that comes back until the server closes the connection. */
export function askRaw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      answer += text;
    });
    socket.once("error", reject).once("close", () => resolve(answer));
  });
}

/** A commit's body. */
export function commitBody(lines: readonly object[], header: object = {}): string {
  return [{ key: "header", value: { summary: "a commit", ...header } }, ...lines]
    .map((l) => JSON.stringify(l))
    .join("\n");
}

export function fileLine(path: string, content: string) {
  return { key: "file", value: { path, content: Buffer.from(content).toString("base64"), encoding: "base64" } };
}
