/** `vene push`, `vene hub` and `vene cache` against an embedded Hub, and what was pushed pulled into an empty cache. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { FlakyHub, reader, writer } from "../support/flaky-hub.ts";
import { honest, scratch, vene, veneJson } from "./terminal.ts";

let hub: FlakyHub;
let env: Record<string, string>;
beforeAll(async () => {
  hub = await FlakyHub.start();
  env = { HF_ENDPOINT: hub.url, HF_TOKEN: writer, HF_HOME: join(hub.folder, "home"), HOME: hub.folder };
});
afterAll(() => hub.close());

describe("push", () => {
  test("prints the commit to pin, and the pushed bytes come back", async () => {
    const { code, out, err } = await vene(["push", honest, "lab/honest", "--message", "First", "--tag", "v1"], { env });
    expect([code, err]).toEqual([0, expect.stringMatching(/^notice: pyvene stores no tokens policy[^\n]*\n$/)]);
    const pinned = /^lab\/honest@[0-9a-f]{40}$/m.exec(out)![0];
    expect(out).toMatch(/^state: +pushed to a new repository$/m);
    expect(out).toContain(` ${hub.url}/lab/honest/tree/${pinned.slice(-40)}\n`);
    const again = await veneJson(["push", honest, "lab/honest"], { env });
    expect(again.json).toMatchObject({
      ref: pinned,
      changed: false,
      created: false,
      written: [],
      removed: [],
    });
    const pulled = await veneJson(["pull", "lab/honest@v1"], { env });
    expect(pulled.json.pinned).toBe(pinned);
    for (const name of ["intervention.json", "intervention.safetensors"]) {
      expect(readFileSync(join(pulled.json.folder, name)).equals(readFileSync(join(honest, name)))).toBe(true);
    }
  });

  test("what was pushed is no model", async () => {
    const { json } = await veneJson(["pull", "lab/honest", "--model"], { env });
    expect(json.error).toMatchObject({ code: "weights-missing", hint: expect.stringContaining("an intervention") });
  });

  test("proposes a pull request", async () => {
    await vene(["push", honest, "lab/proposed"], { env });
    const options = ["--create-pr", "--license", "mit"];
    const { json } = await veneJson(["push", honest, "lab/proposed", ...options], { env });
    expect(json.pullRequestUrl).toMatch(/\/lab\/proposed\/discussions\/1$/);
    const headers = { authorization: `Bearer ${writer}` };
    const commits = await fetch(`${hub.url}/api/models/lab/proposed/commits/main`, { headers });
    const [newest] = (await commits.json()) as { title: string }[];
    expect(newest!.title).toBe("Upload the intervention honest with vene");
  });

  test("says what was refused", async () => {
    const { code, err } = await vene(["push", honest, "lab/x"], { env: { ...env, HF_TOKEN: reader } });
    expect([code, err]).toEqual([1, expect.stringContaining("error[hub-unauthorized]")]);
    expect(err).not.toContain(reader);
    expect((await vene(["push", honest, "a b"], { env })).err).toContain("error[hub-usage]");
    expect((await vene(["push", honest], { env })).code).toBe(2);
    expect((await vene(["push", scratch(), "lab/x"], { env })).err).toContain("error[artefact-missing]");
  });
});

describe("hub", () => {
  const home = () => ({ HF_ENDPOINT: hub.url, HF_HOME: join(scratch(), "hf"), HOME: hub.folder });

  test("login, whoami and logout", async () => {
    const mine = home();
    const logged = await vene(["hub", "login"], { env: mine, stdin: `${writer}\n` });
    expect([logged.code, logged.out]).toEqual([0, expect.stringMatching(/^logged in\n\nuser: +me\n/)]);
    expect(logged.out + logged.err).not.toContain(writer);
    expect(readFileSync(join(mine.HF_HOME, "token"), "utf8")).toBe(writer);
    const { json } = await veneJson(["hub", "whoami"], { env: mine });
    expect(json).toMatchObject({ name: "me", role: "write", organisations: ["lab"], endpoint: hub.url });
    expect((await vene(["hub", "logout"], { env: { ...mine, HF_TOKEN: reader } })).err).toContain(
      "HF_TOKEN is still set",
    );
    expect((await veneJson(["hub", "logout"], { env: mine })).json).toEqual({ removed: false });
    expect((await vene(["hub", "whoami"], { env: mine })).err).toContain("error[hub-unauthorized]");
  });

  test("login stores nothing the hub does not know, and wants a pipe", async () => {
    const { code, err } = await vene(["hub", "login"], { env: home(), stdin: "hf_wrongwrongwrongwrong" });
    expect([code, err]).toEqual([1, expect.stringContaining("error[hub-unauthorized]")]);
    expect(err).not.toContain("hf_wrong");
    const nothing = await vene(["hub", "login"], { env: home(), stdin: "\n" });
    expect([nothing.code, nothing.err]).toEqual([1, "error[hub-usage]: the token from the options is empty\n"]);
    expect((await vene(["hub", "login"], { env: home(), stdinIsTerminal: true })).code).toBe(2);
  });

  test("ls lists interventions, not models", async () => {
    await vene(["push", honest, "me/listed", "--private"], { env });
    await hub.change("POST", "/api/repos/create", JSON.stringify({ name: "model", organization: "me", type: "model" }));
    const { out } = await vene(["hub", "ls", "me"], { env });
    expect(out).toMatch(
      /^repository +changed +visibility +for\nme\/listed +\d{4}-\d\d-\d\d +private +truthful-tiny\n$/,
    );
    const { json } = await veneJson(["hub", "ls", "--search", "nothing-like-it"], { env });
    expect(json).toEqual({ repos: [] });
    expect((await veneJson(["hub", "ls", "me", "--base", "truthful-tiny"], { env })).json.repos).toHaveLength(1);
  });
});

describe("cache", () => {
  test("ls, verify, rm and prune work on what was pulled", async () => {
    const mine = { ...env, HF_HOME: join(scratch(), "hf") };
    expect((await vene(["cache", "ls"], { env: mine })).out).toBe("the cache is empty\n");
    await vene(["push", honest, "lab/cached"], { env });
    const { json } = await veneJson(["pull", "lab/cached"], { env: mine });
    const listed = await vene(["cache", "ls"], { env: mine });
    expect(listed.out).toMatch(new RegExp(`^lab/cached +model +\\d+ +${json.commit} +\\d+ +main$`, "m"));
    expect((await vene(["cache", "verify", "lab/cached"], { env: mine })).out).toContain("all as they should be\n");
    expect((await veneJson(["cache", "prune"], { env: mine })).json).toMatchObject({ revisions: [], bytes: 0 });
    writeFileSync(join(json.folder, "intervention.safetensors"), "damaged");
    const damaged = await veneJson(["cache", "verify"], { env: mine });
    expect([damaged.code, damaged.json.error.code]).toEqual([1, "hub-cache"]);
    expect(damaged.json.error.details.repos[0].faults).toHaveLength(1);
    const plan = await vene(["cache", "rm", "lab/cached@main", "--dry-run"], { env: mine });
    expect(plan.out).toMatch(/^lab\/cached\nwould free \d+ bytes: \d files, 0 unfinished downloads\n$/);
    expect((await vene(["cache", "rm", "lab/cached"], { env: mine })).code).toBe(0);
    expect((await vene(["cache", "rm", "lab/cached"], { env: mine })).err).toContain("error[hub-not-found]");
    rmSync(mine.HF_HOME, { recursive: true });
  });
});
