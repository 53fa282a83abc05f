/** `vene hub serve`: what it prints, what it refuses, and that it ends in order when it is told to. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { repository, vene } from "../cli/terminal.ts";
import { ask, folder } from "./places.ts";

const main = join(repository, "dist", "cli", "main.js");

/** The running command, with what it printed until `pattern` came. */
async function serve(argv: readonly string[], pattern: RegExp) {
  if (!existsSync(main)) throw new Error("dist/cli/main.js is missing: npm run build");
  const child: ChildProcessWithoutNullStreams = spawn(process.execPath, [main, "hub", "serve", "--port", "0", ...argv]);
  const said = { out: "", err: "" };
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  child.stderr.on("data", (data: Buffer) => {
    said.err += data;
  });
  await new Promise<void>((resolve, reject) => {
    child.once("exit", () => reject(new Error(said.err)));
    child.stdout.on("data", (data: Buffer) => {
      said.out += data;
      if (pattern.test(said.out)) resolve();
    });
  });
  const url = /http:\/\/[\d.:]+/.exec(said.out)![0];
  return { child, said, exit, url };
}

test("says where it is and how to reach it, serves, and ends on Ctrl-C with the folder free again", async () => {
  const dir = join(await folder(), "hub");
  const { child, said, exit, url } = await serve(["--dir", dir], /Ctrl-C/);
  expect(said.out).toBe(
    `hub of ${dir} at ${url}\nno tokens: everyone on this machine may read and write\nclients: export HF_ENDPOINT=${url}\nCtrl-C stops it\n`,
  );
  expect((await ask(`${url}/api/repos/create`, { method: "POST", body: { name: "x" } })).json.name).toBe("local/x");
  expect(existsSync(join(dir, "hub.lock"))).toBe(true);
  child.kill("SIGINT");
  expect([await exit, said.err]).toEqual([0, "stopping\n"]);
  expect(existsSync(join(dir, "hub.lock"))).toBe(false);
});

test("--tokens makes a file that only its owner reads, and uses it again; --json prints one object; --read-only", async () => {
  const dir = await folder();
  const tokens = join(await folder(), "tokens.json");
  const argv = ["--dir", dir, "--tokens", tokens, "--json"];
  const first = await serve(argv, /\n/);
  expect(JSON.parse(first.said.out)).toEqual({ url: first.url, dir, readOnly: false, users: ["admin"] });
  expect(statSync(tokens).mode & 0o777).toBe(0o600);
  const { token } = JSON.parse(readFileSync(tokens, "utf8")).tokens[0];
  expect((await ask(`${first.url}/api/whoami-v2`, { token })).json.name).toBe("admin");
  expect((await ask(`${first.url}/api/whoami-v2`)).status).toBe(401);
  first.child.kill("SIGTERM");
  expect(await first.exit).toBe(0);
  const open = await serve(["--dir", dir, "--read-only"], /Ctrl-C/);
  expect(open.said.out).toContain(", read-only\nno tokens: everyone on this machine may read\n");
  open.child.kill("SIGINT");
  expect(await open.exit).toBe(0);
  const second = await serve([...argv, "--read-only"], /\n/);
  expect((await ask(`${second.url}/api/whoami-v2`, { token })).json.name).toBe("admin");
  const create = await ask(`${second.url}/api/repos/create`, { method: "POST", token, body: { name: "x" } });
  expect(create.json).toEqual({ error: "this server is read-only" });
  second.child.kill("SIGINT");
  expect(await second.exit).toBe(0);
});

test("refuses what cannot be, with the reason", async () => {
  const dir = await folder();
  const failing = async (...argv: string[]) => {
    const { code, err } = await vene(["hub", "serve", "--dir", dir, ...argv]);
    return [code, /error\[([\w-]+)\]/.exec(err)?.[1]];
  };
  expect(await failing("--host", "0.0.0.0")).toEqual([1, "server-usage"]);
  expect(await failing("--token", "secret")).toEqual([1, "server-usage"]);
  expect(await failing("--port", "70000")).toEqual([2, "usage"]);
  expect(await failing("--token", "x", "--tokens", "y")).toEqual([2, "usage"]);
  expect(await failing("--tokens", join(dir, "no", "such", "place"))).toEqual([2, "usage"]);
  expect(await failing("--tokens", dir)).toEqual([2, "usage"]);
  writeFileSync(join(dir, "tokens.json"), "{}");
  expect(await failing("--tokens", join(dir, "tokens.json"))).toEqual([1, "server-usage"]);
  expect((await vene(["hub", "serve"])).code).toBe(2);
  const help = await vene(["hub", "--help"]);
  expect([help.code, help.out]).toEqual([0, expect.stringContaining("serve")]);
});
