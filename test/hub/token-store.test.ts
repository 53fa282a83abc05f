/** login, whoami and logout: tokens are asked about, stored where Python looks, for their owner alone, and never shown. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { login, logout, whoami } from "../../src/index.ts";
import { temporaryFolder } from "../artefact/places.ts";

const token = "hf_abcdefghijklmnopqrst";
let server: Server;
let url: string;
let home: string;
let displayName = "laptop";
let variables: Record<string, string>;
const hub = () => ({ hub: { variables } });

beforeAll(async () => {
  server = createServer(({ headers }, response) => {
    if (headers.authorization !== `Bearer ${token}`) {
      const message = "Invalid credentials in Authorization header";
      response
        .writeHead(401, { "x-error-message": message })
        .end(JSON.stringify({ error: `${message} ${headers.authorization}` }));
      return;
    }
    const auth = { type: "access_token", accessToken: { displayName, role: "write" } };
    response.end(JSON.stringify({ type: "user", name: "me", fullname: "Me", orgs: [{ name: "lab" }], auth }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());
beforeEach(async () => {
  home = join(await temporaryFolder(), "hf");
  variables = { HF_HOME: home, HF_ENDPOINT: url };
  displayName = "laptop";
});

const read = (name: string) => readFileSync(join(home, name), "utf8");
const mode = (path: string) => statSync(path).mode & 0o777;

describe("login", () => {
  test("asks who it is and stores the token as Python does, for its owner alone", async () => {
    const identity = {
      name: "me",
      fullName: "Me",
      organisations: ["lab"],
      role: "write",
      tokenName: "laptop",
      endpoint: url,
    };
    expect(await login(token, hub())).toEqual(identity);
    expect(read("token")).toBe(token);
    expect(read("stored_tokens")).toBe(`[laptop]\nhf_token = ${token}\n`);
    expect([home, join(home, "token"), join(home, "stored_tokens")].map(mode)).toEqual([0o700, 0o600, 0o600]);
    expect(await whoami(hub())).toEqual(identity);
  });

  test("keeps other tokens, and what it does not know of them", async () => {
    mkdirSync(home);
    const other = "[work]\nhf_token = hf_other\nrefresh_token = r\n";
    writeFileSync(join(home, "stored_tokens"), `${other}\n[laptop]\nhf_token = hf_old\n`);
    await login(token, hub());
    expect(read("stored_tokens")).toBe(`${other}\n[laptop]\nhf_token = ${token}\n`);
    expect(await logout(hub())).toBe(true);
    expect(read("stored_tokens")).toBe(other);
    expect(existsSync(join(home, "token"))).toBe(false);
    expect(await logout(hub())).toBe(false);
  });

  test.each([
    ["a]\n[b", "a_b"],
    ["DEFAULT", "token DEFAULT"],
    ["", "token"],
    ["日本語 %(x)s", "日本語 %(x)s"],
  ])("the name %j of a token cannot break the file", async (name, section) => {
    displayName = name;
    await login(token, hub());
    expect(read("stored_tokens")).toBe(`[${section}]\nhf_token = ${token}\n`);
  });

  test("stores nothing that the Hub does not know, and says nothing of it", async () => {
    const wrong = await login("hf_wrongwrongwrongwrong", hub()).catch((thrown: unknown) => thrown);
    expect(wrong).toMatchObject({ code: "hub-unauthorized" });
    expect(JSON.stringify(wrong) + String((wrong as Error).stack)).not.toContain("hf_wrong");
    expect(existsSync(home)).toBe(false);
    await expect(login("two words", hub())).rejects.toMatchObject({ code: "hub-usage" });
    await expect(whoami(hub())).rejects.toMatchObject({ code: "hub-unauthorized" });
  });

  test("is for HF_ENDPOINT: the token of one Hub is never sent to another", async () => {
    await expect(login(token, { hub: { variables, endpoint: "http://127.0.0.1:1" } })).rejects.toMatchObject({
      code: "hub-usage",
    });
  });

  test("where the folder cannot be written is an error", async () => {
    variables["HF_HOME"] = "/proc/vene";
    await expect(login(token, hub())).rejects.toMatchObject({ code: "write-failed" });
    const folder = await temporaryFolder();
    mkdirSync(join(folder, "token"));
    variables["HF_HOME"] = folder;
    await expect(logout(hub())).rejects.toMatchObject({ code: "hub-cache" });
  });

  test("with HF_TOKEN_PATH leaves the rest of that folder as it is", async () => {
    const folder = await temporaryFolder();
    mkdirSync(join(folder, "mine"), { mode: 0o755 });
    variables["HF_TOKEN_PATH"] = join(folder, "mine", "secret");
    await login(token, hub());
    expect(mode(join(folder, "mine", "secret"))).toBe(0o600);
    expect(mode(join(folder, "mine"))).toBe(0o755);
  });
});
