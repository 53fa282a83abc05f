#!/usr/bin/env node
/** The executable: the process's own streams and signals around runCli. */
import { exitCodes } from "./exit-codes.ts";
import type { CliIo, Interrupt, Output } from "./io.ts";
import { runCli } from "./run.ts";

function output(stream: NodeJS.WriteStream): Output {
  // A reader that has seen enough (head) is no failure.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(exitCodes.ok);
    throw error;
  });
  return { isTerminal: stream.isTTY === true, write: (text) => void stream.write(text) };
}

/** Ctrl-C, a service manager's stop, a closed terminal: all end the work in order. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function interrupt(): Interrupt {
  const controller = new AbortController();
  const onInterrupt = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort();
  };
  // Called at every step of progress. Handlers stay where they are: a signal that comes while one is replaced is lost.
  let held = false;
  const hold = () => {
    if (!held) for (const name of signals) process.on(name, onInterrupt);
    held = true;
  };
  const letGo = () => {
    if (held) for (const name of signals) process.off(name, onInterrupt);
    held = false;
  };
  return { signal: controller.signal, hold, letGo };
}

const io: CliIo = {
  stdin: process.stdin,
  stdinIsTerminal: process.stdin.isTTY === true,
  stdout: output(process.stdout),
  stderr: output(process.stderr),
  env: process.env,
  interrupt: interrupt(),
};

process.exitCode = await runCli(process.argv.slice(2), io);
