/** kill -9 in the middle of commits, a few times; test/slow has more of them. */
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { repository } from "../cli/terminal.ts";
import { crash } from "./crash.ts";
import { folder } from "./places.ts";

test("64: what was confirmed is there, what was not is there whole or not at all", async () => {
  const dir = await folder();
  let count = 0;
  for (const delayMs of [40, 75, 110, 190]) {
    const { confirmed, found } = await crash(join(repository, "dist", "cli", "main.js"), dir, delayMs, count);
    expect([confirmed, confirmed + 1]).toContain(found);
    count = found;
  }
  expect(count).toBeGreaterThan(0);
});
