/** Compares the built command line with the tokens pyvene generated: node smollm2_cli.mjs MODEL_FOLDER FIXTURES_FOLDER */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const [model, fixtures = fileURLToPath(new URL("../fixtures/smollm2", import.meta.url))] = process.argv.slice(2);
if (model === undefined) {
  console.error("usage: node test/oracle/smollm2_cli.mjs MODEL_FOLDER [FIXTURES_FOLDER]");
  process.exit(2);
}

/** Top logit minus second below which another runtime may choose the other token. */
const NEAR_TIE = 0.005;

function argumentsOf(folder, run) {
  const args = ["generate", "--json", "--model", model, "--intervention", join(folder, "saved")];
  args.push("--max-new-tokens", String(run.max_new_tokens));
  if (run.intervene_on_prompt) args.push("--intervene-on-prompt");
  if (run.unit_locations !== null) args.push("--unit-locations", JSON.stringify(run.unit_locations));
  if (run.source !== undefined) args.push("--source", run.source);
  if (run.messages === undefined) return [...args, "--", run.text];
  if (run.messages.length !== 1 || run.messages[0].role !== "user") throw new Error("expected one user message");
  return [...args, "--chat", "--", run.messages[0].content];
}

function compare(found, expected) {
  const length = Math.max(found.length, expected.tokens.length);
  for (let step = 0; step < length; step++) {
    if (found[step] === expected.tokens[step]) continue;
    const margin = expected.margins[step];
    const verdict = margin !== undefined && margin < NEAR_TIE ? "near tie" : "WRONG";
    return `${verdict} at step ${step} of ${expected.tokens.length} (margin ${margin})`;
  }
  return `ok (${length} tokens)`;
}

let wrong = 0;
for (const name of readdirSync(fixtures).sort()) {
  const folder = join(fixtures, name);
  const { runs } = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
  for (const [index, run] of runs.entries()) {
    const result = JSON.parse(execFileSync(process.execPath, [cli, ...argumentsOf(folder, run)], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }));
    const row = run.rows[0];
    const prompt = JSON.stringify(result.promptTokens) === JSON.stringify(row.prompt_tokens) ? "ok" : "WRONG";
    const [plain, steered] = ["plain", "steered"].map((side) => compare(result[side].tokens, row[side]));
    if ([prompt, plain, steered].some((verdict) => verdict.startsWith("WRONG"))) wrong++;
    console.log(`${name} run ${index}: prompt ${prompt}; plain ${plain}; steered ${steered}`);
    console.log(`  ${JSON.stringify(result.steered.text.slice(0, 90))}`);
  }
}
console.log(wrong === 0 ? "every run as pyvene generates it" : `${wrong} runs WRONG`);
process.exitCode = wrong === 0 ? 0 : 1;
