/** A pull killed at 50 random moments never leaves a cache that lies; run by npm run test:slow. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Answer, fileOf, honest } from "../support/hostile-hub.ts";
import { noise, PullBench } from "../support/hub-cache.ts";
import { faultsOf, startPull } from "../support/killed-pulls.ts";

const built = new URL("../../build/src/hub/pull.js", import.meta.url).href;

let bench: PullBench;
beforeAll(async () => {
  bench = await PullBench.start();
  bench.hub.put("config.json", "{}");
  bench.hub.put("intervention.safetensors", noise(4_000_000), true);
});
afterAll(() => bench.stop());

/** In 40 pieces, 10 ms apart: kills fall before, in the middle of and after each file. */
const slowly: Answer = (request, response, hub) => {
  const { content } = fileOf(request, hub)!;
  response.writeHead(200, { "content-length": content.length });
  let piece = 0;
  const timer = setInterval(() => {
    response.write(content.subarray((piece * content.length) / 40, ((piece + 1) * content.length) / 40));
    if (++piece < 40) return;
    clearInterval(timer);
    response.end();
  }, 10);
};

test("after each of 50 kills what can be seen is right, and the next pull finishes", async () => {
  let killed = 0;
  for (let round = 0; round < 50; round++) {
    rmSync(bench.folder, { recursive: true, force: true });
    const { child, exit } = startPull(built, bench.hub, bench.cache);
    bench.hub.instead.resolve = slowly;
    bench.hub.instead.revision = (request, response, hub) => {
      setTimeout(() => child.kill("SIGKILL"), Math.random() * 600);
      honest.revision(request, response, hub);
    };
    if ((await exit).signal === "SIGKILL") killed++;
    expect(faultsOf(bench.hub, bench.cache)).toEqual([]);
    bench.hub.instead.resolve = honest.resolve;
    bench.hub.instead.revision = honest.revision;
    await bench.pull();
    expect(faultsOf(bench.hub, bench.cache)).toEqual([]);
  }
  process.stderr.write(`pull-kill: ${killed} of 50 pulls were killed before they ended\n`);
  expect(killed).toBeGreaterThan(10);
});
