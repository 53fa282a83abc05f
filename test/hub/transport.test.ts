/** Requests to a Hub: retries, redirects, where the token goes, offline mode, and what errors say. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { whoAmI } from "@huggingface/hub";
import { afterEach, describe, expect, test } from "@jest/globals";
import { type HubEnvironment, hubEnvironment } from "../../src/hub/environment.ts";
import { hubFetch } from "../../src/hub/fetch.ts";
import { hubJson, hubRequest } from "../../src/hub/transport.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(answer: Answer, changes: Partial<HubEnvironment> = {}): Promise<HubEnvironment> {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { ...hubEnvironment({ endpoint, token: "secret-token" }, {}), retryDelayMs: 1, longestWaitMs: 50, ...changes };
}

const what = "a test";
const json =
  (value: unknown, status = 200): Answer =>
  (_, response) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  };

describe("requests", () => {
  test("carry the token to the endpoint and read JSON", async () => {
    let seen: IncomingMessage | undefined;
    const hub = await serve((request, response) => {
      seen = request;
      json({ ok: [1] })(request, response);
    });
    expect((await hubJson(hub, { url: "/api/x", what })).value).toEqual({ ok: [1] });
    expect(seen!.headers).toMatchObject({ authorization: "Bearer secret-token", "accept-encoding": "identity" });
  });

  test("8: 503 and 429 are tried again, with Retry-After and without", async () => {
    let count = 0;
    const hub = await serve((request, response) => {
      count++;
      if (count === 1) response.writeHead(503).end();
      else if (count === 2) response.writeHead(429, { "retry-after": "0" }).end();
      else json(count)(request, response);
    });
    expect((await hubJson(hub, { url: "/api/x", what })).value).toBe(3);
  });

  test("8: Retry-After: 1e9 is not waited for, and tries are bounded", async () => {
    let count = 0;
    const hub = await serve((_, response) => {
      count++;
      response.writeHead(503, count === 1 ? {} : { "retry-after": "1000000000" }).end();
    });
    await expect(hubJson(hub, { url: "/api/x", what })).rejects.toMatchObject({ code: "hub-unreachable" });
    expect(count).toBe(2);
    let always = 0;
    const down = await serve((_, response) => {
      always++;
      response.writeHead(500).end();
    });
    await expect(hubJson(down, { url: "/api/x", what })).rejects.toMatchObject({ code: "hub-unreachable" });
    expect(always).toBe(4);
  });

  test.each([
    [401, {}, "hub-unauthorized"],
    [403, { "x-error-code": "GatedRepo" }, "hub-unauthorized"],
    [401, { "x-error-code": "RepoNotFound" }, "hub-not-found"],
    [404, { "x-error-code": "EntryNotFound" }, "hub-not-found"],
    [409, {}, "hub-conflict"],
    [412, {}, "hub-conflict"],
    [400, {}, "hub-rejected"],
    [304, {}, "hub-rejected"],
  ])("status %i %j is %s", async (status, headers, code) => {
    const hub = await serve((_, response) => void response.writeHead(status, headers as Record<string, string>).end());
    await expect(hubRequest(hub, { url: "/x", what })).rejects.toMatchObject({ code, details: { status } });
  });

  test("a POST is not repeated unless it says so", async () => {
    let count = 0;
    const hub = await serve((request, response) => {
      count++;
      request.resume();
      request.on("end", () => response.writeHead(503).end());
    });
    const post = { url: "/x", what, method: "POST", body: "{}" } as const;
    await expect(hubRequest(hub, post)).rejects.toMatchObject({ code: "hub-unreachable" });
    expect(count).toBe(1);
    await expect(hubRequest(hub, { ...post, repeatable: true })).rejects.toMatchObject({ code: "hub-unreachable" });
    expect(count).toBe(5);
  });

  test("offline mode sends nothing, and a server that is not there is not tried again", async () => {
    const hub = await serve(json(1), { offline: true });
    await expect(hubJson(hub, { url: "/x", what })).rejects.toMatchObject({ code: "hub-offline" });
    const gone = { ...hub, offline: false, endpoint: "http://127.0.0.1:1", retryDelayMs: 1e6, longestWaitMs: 1e9 };
    await expect(hubJson(gone, { url: "/x", what })).rejects.toMatchObject({
      code: "hub-unreachable",
      details: { system: "ECONNREFUSED" },
    });
  });

  test("https to a server that speaks plain http says so", async () => {
    const plain = await serve(json(1));
    const hub = { ...plain, endpoint: plain.endpoint.replace("http:", "https:") };
    await expect(hubJson(hub, { url: "/x", what })).rejects.toMatchObject({
      code: "hub-unreachable",
      message: expect.stringMatching(/^a test: no answer from 127\.0\.0\.1:\d+: it speaks no TLS$/),
      hint: expect.stringContaining("plain http"),
    });
  });

  test("the real client goes through hubFetch, with a token that has no hf_", async () => {
    const hub = await serve((request, response) => {
      expect(request.headers.authorization).toBe("Bearer secret-token");
      json({ type: "user", name: "me", id: "1", auth: { type: "access_token" }, orgs: [] })(request, response);
    });
    const me = await whoAmI({ hubUrl: hub.endpoint, fetch: hubFetch(hub, { what: "who am I" }), accessToken: "hf_x" });
    expect(me.name).toBe("me");
    const refusing = await serve((_, response) => void response.writeHead(401, { "x-error-message": "no" }).end());
    await expect(
      whoAmI({ hubUrl: refusing.endpoint, fetch: hubFetch(refusing, { what: "who am I" }), accessToken: "hf_x" }),
    ).rejects.toMatchObject({ code: "hub-unauthorized" });
  });

  test("what a server says is shown on one line, short, and without the token", async () => {
    const said = `no\u0007 \u009b31m for secret-token ${"x".repeat(5000)}`;
    const hub = await serve((_, response) => {
      response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error: said }));
    });
    const failure = await hubJson(hub, { url: "/x?signature=secret", what }).catch((thrown: Error) => thrown);
    const text = JSON.stringify({ ...failure, message: (failure as Error).message });
    expect((failure as Error).message).toMatch(/^a test: 127\.0\.0\.1:\d+ answered 400: no/);
    expect((failure as Error).message.length).toBeLessThan(400);
    expect(text).not.toMatch(/secret|\p{Cc}|\\u00/u);
  });

  test("the caller's signal ends a request and a pause between two", async () => {
    const silent = await serve(() => undefined);
    const inRequest = hubJson(silent, { url: "/x", what, signal: AbortSignal.timeout(20) });
    await expect(inRequest).rejects.toMatchObject({ code: "aborted" });
    const busy = await serve((_, response) => void response.writeHead(503, { "retry-after": "30" }).end(), {
      longestWaitMs: 60_000,
    });
    const inPause = hubJson(busy, { url: "/x", what, signal: AbortSignal.timeout(50) });
    await expect(inPause).rejects.toMatchObject({ code: "aborted" });
  });

  test("proxies are used, but never for the loopback", async () => {
    const connects: string[] = [];
    const proxy = createServer((_, response) => void response.writeHead(500).end());
    proxy.on("connect", (request, socket) => {
      connects.push(request.url ?? "");
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    closers.push(() => {
      proxy.close();
      proxy.closeAllConnections();
    });
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const proxies = { http: address, https: "", bypass: "" };
    const hub = await serve(json("direct"), { proxies });
    expect((await hubJson(hub, { url: "/x", what })).value).toBe("direct");
    const outside = { ...hub, endpoint: "http://hub.invalid", tries: 1 };
    await expect(hubJson(outside, { url: "/x", what })).rejects.toMatchObject({ code: "hub-unreachable" });
    expect(connects).toEqual(["hub.invalid:80"]);
  });

  test("a Blob is streamed, and sent again where that is allowed", async () => {
    const bodies: number[] = [];
    const hub = await serve((request, response) => {
      let length = 0;
      request.on("data", (chunk: Buffer) => {
        length += chunk.length;
      });
      request.on("end", () => {
        bodies.push(length);
        response.writeHead(bodies.length === 1 ? 503 : 200).end("{}");
      });
    });
    const body = new Blob([Buffer.alloc(300_000, 1)]);
    await hubRequest(hub, { url: "/x", what, method: "PUT", body, repeatable: true }).then((r) => r.body.resume());
    expect(bodies).toEqual([300_000, 300_000]);
  });
});
