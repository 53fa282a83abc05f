/** Starts the processes of the Hub benchmark: the server, and one per client. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Client, HubAccess, HubResult, HubSide } from "./protocol.ts";

function start(script: string, args: readonly string[]): { child: ChildProcess; next: () => Promise<unknown> } {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), args, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const failed = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`${script} ${args.join(" ")} ended with code ${code}`)));
  });
  failed.catch(() => undefined);
  return {
    child,
    next: () => Promise.race([failed, new Promise<unknown>((resolve) => child.once("message", resolve))]),
  };
}

export async function hubServer(dir: string): Promise<HubAccess & { close(): Promise<unknown> }> {
  const { child, next } = start("./server.js", [dir]);
  const access = (await next()) as HubAccess;
  return {
    ...access,
    close() {
      child.send("close");
      return once(child, "exit");
    },
  };
}

export async function hubSide({ url, token }: HubAccess, client: Client): Promise<HubSide> {
  const { child, next } = start("./worker.js", [url, token, client]);
  await next();
  return {
    async ask(task) {
      const answer = next();
      child.send(task);
      return (await answer) as HubResult;
    },
    close: () => void child.kill(),
  };
}

/** Seconds that a program takes. Throws unless it ends with 0. */
export async function timed(program: string, args: readonly string[]): Promise<number> {
  const begin = performance.now();
  const [code] = await once(spawn(program, args, { stdio: "inherit" }), "exit");
  if (code !== 0) throw new Error(`${program} ended with code ${code}`);
  return (performance.now() - begin) / 1000;
}
