/** kill -9 of the embedded Hub at 50 random moments of commits; run by npm run test:slow. */
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { crash } from "../server/crash.ts";
import { folder } from "../server/places.ts";

test("64: fifty crashes lose nothing that was confirmed", async () => {
  const dir = await folder();
  const main = join(import.meta.dirname, "../../build/src/cli/main.js");
  let [count, unconfirmed] = [0, 0];
  for (let round = 0; round < 50; round++) {
    const { confirmed, found } = await crash(main, dir, Math.random() * 300, count);
    expect([confirmed, confirmed + 1]).toContain(found);
    unconfirmed += found - confirmed;
    count = found;
  }
  process.stderr.write(
    `hub-crash: ${count} commits, ${unconfirmed} of them done but not confirmed when the server was killed\n`,
  );
  expect(count).toBeGreaterThan(50);
});
