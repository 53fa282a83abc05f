/** Connections: one undici dispatcher per set of timeouts and proxies. Idle sockets do not keep a process alive. */
import type { Dispatcher } from "undici";
import type { HubEnvironment } from "./environment.ts";

const dispatchers = new Map<string, Dispatcher>();

/** The loopback is never reached through a proxy. */
const loopback = "localhost,127.0.0.1,[::1]";

/** undici is loaded with the first request: most commands make none. */
export async function dispatcherFor(environment: HubEnvironment): Promise<Dispatcher> {
  const { EnvHttpProxyAgent } = await import("undici");
  const { proxies, etagTimeoutMs, downloadTimeoutMs } = environment;
  const key = JSON.stringify([proxies, etagTimeoutMs, downloadTimeoutMs]);
  let dispatcher = dispatchers.get(key);
  if (dispatcher === undefined) {
    dispatcher = new EnvHttpProxyAgent({
      httpProxy: proxies.http,
      httpsProxy: proxies.https,
      noProxy: proxies.bypass === "*" ? "*" : `${proxies.bypass},${loopback}`,
      connect: { timeout: etagTimeoutMs },
      headersTimeout: etagTimeoutMs,
      bodyTimeout: downloadTimeoutMs,
      // Bounds the header block of an answer; undici's own default is the same as node's.
      maxHeaderSize: 16 * 1024,
    });
    dispatchers.set(key, dispatcher);
  }
  return dispatcher;
}
