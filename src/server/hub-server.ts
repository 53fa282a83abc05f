/** An embedded Hub: the server of `vene hub serve`, for tests and apps. */
import { createServer, type Server } from "node:http";
import { type AddressInfo, isIPv6 } from "node:net";
import { messageOf, VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import { dispatcher } from "./dispatch.ts";
import { hostNames } from "./http/guard.ts";
import { type HubToken, Tokens } from "./identity.ts";
import { defaultLimits, type HubLimits } from "./limits.ts";
import { openHub } from "./open-hub.ts";
import { routes } from "./routes.ts";

export interface HubServerOptions {
  /** The folder that everything is kept in; made when it does not exist. */
  readonly dir: string;
  /** 0, the default, takes any free port. */
  readonly port?: number;
  /** The address to listen at; 127.0.0.1 unless told. Addresses that others can reach need tokens. */
  readonly host?: string;
  /** Who may do what. Without tokens everyone on this machine may do everything. */
  readonly tokens?: readonly HubToken[];
  /** Refuse everything that would change something. */
  readonly readOnly?: boolean;
  /** More names by which clients reach the server, beside its addresses, localhost and the machine's name. */
  readonly hostNames?: readonly string[];
  /** What links in answers start with when a proxy stands before the server: "https://hub.example.org". */
  readonly publicUrl?: string;
  /** Other limits than the usual ones. */
  readonly limits?: Partial<HubLimits>;
  /** Hears of errors that are the server's own fault; clients only see "internal error". */
  readonly onFault?: (fault: unknown) => void;
}

export interface HubServer {
  /** What clients need as HF_ENDPOINT or hubUrl: "http://127.0.0.1:7860". */
  readonly url: string;
  /** Stops listening, gives running requests a few seconds, and unlocks the folder. */
  close(): Promise<void>;
}

const optionNames = [
  "dir",
  "port",
  "host",
  "tokens",
  "readOnly",
  "hostNames",
  "publicUrl",
  "limits",
  "onFault",
] as const;
const loopback = /^(127(\.\d{1,3}){3}|::1|localhost)$/;

/** Throws `server-usage` (options that cannot be) or `server-storage` (the folder is locked, damaged or not writable). */
export async function startHub(options: HubServerOptions): Promise<HubServer> {
  checkKeys("startHub", options, optionNames, "server-usage");
  const { dir, port = 0, host = "127.0.0.1", readOnly = false } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const tokens = new Tokens(options.tokens ?? []);
  if (!loopback.test(host) && tokens.none) {
    throw new VeneError("server-usage", `the address ${host} can be reached by others, and there are no tokens`, {
      hint: "give tokens, or listen at 127.0.0.1",
      details: { host },
    });
  }
  checkPublicUrl(options.publicUrl);
  const publicName = options.publicUrl === undefined ? [] : [new URL(options.publicUrl).hostname];
  const opened = await openHub(dir, limits, readOnly);
  const server = createServer(
    { headersTimeout: limits.headersMs, requestTimeout: 0, connectionsCheckingInterval: 1000, maxHeaderSize: 1 << 14 },
    dispatcher({
      hub: opened.hub,
      tokens,
      hosts: hostNames([host, ...publicName, ...(options.hostNames ?? [])]),
      publicUrl: options.publicUrl?.replace(/\/+$/, ""),
      routes,
      onFault: options.onFault ?? (() => undefined),
    }),
  );
  server.maxConnections = limits.connections;
  server.timeout = limits.idleMs;
  try {
    await listen(server, port, host);
  } catch (cause) {
    await opened.close();
    throw new VeneError("server-usage", `cannot listen at ${host}, port ${port}: ${messageOf(cause)}`, {
      hint: "choose another port or address",
      details: { host, port },
      cause,
    });
  }
  const sweeper = setInterval(() => void opened.hub.scratch.sweep(limits.uploadMs).catch(() => undefined), SWEEP_MS);
  sweeper.unref();
  return {
    url: `http://${isIPv6(host) ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`,
    close: async () => {
      clearInterval(sweeper);
      await stop(server);
      await opened.close();
    },
  };
}

const SWEEP_MS = 3_600_000;
const GRACE_MS = 3000;

function checkPublicUrl(url: string | undefined): void {
  if (url === undefined || (URL.canParse(url) && /^https?:\/\/[^/?#@]+\/?$/.test(url))) return;
  throw new VeneError(
    "server-usage",
    `publicUrl is ${JSON.stringify(url)}, expected something like "https://hub.example.org"`,
    {
      hint: "only scheme, host and port: clients cannot use a path",
    },
  );
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function stop(server: Server): Promise<void> {
  if (!server.listening) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
