/** Starts the processes that are measured: vene's worker, and pyvene's where a Python with it is given. */
import { fork, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Side, SideKind, SideRequest, SideResult } from "./protocol.ts";

/** A vene process with a session for that kind of work. */
export async function veneSide(folder: string, kind: SideKind): Promise<Side> {
  const child = fork(fileURLToPath(new URL("./worker.js", import.meta.url)), [folder, kind], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const failed = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`the ${kind} side ended with code ${code}`)));
  });
  failed.catch(() => undefined);
  const next = () => Promise.race([failed, new Promise<unknown>((resolve) => child.once("message", resolve))]);
  await next();
  return {
    async ask(request: SideRequest) {
      const answer = next();
      child.send(request);
      return (await answer) as SideResult;
    },
    close: () => void child.kill(),
  };
}

/** A Python process that runs the same work through pyvene. `python` must have torch, transformers and pyvene. */
export async function pyveneSide(python: string, folder: string): Promise<Side> {
  const script = fileURLToPath(new URL("../../bench/pyvene_worker.py", import.meta.url));
  const child = spawn(python, [script, folder], { stdio: ["pipe", "pipe", "inherit"] });
  const failed = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`pyvene's side ended with code ${code}`)));
  });
  failed.catch(() => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    for (;;) {
      const { value, done } = await Promise.race([lines.next(), failed]);
      if (done) throw new Error("pyvene's side ended");
      if (typeof value === "string" && value.startsWith("{")) return JSON.parse(value) as SideResult;
    }
  };
  await next();
  return {
    async ask(request: SideRequest) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return next();
    },
    close: () => void child.kill(),
  };
}
