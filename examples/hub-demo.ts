/** `npm run demo:hub`: serves a Hub on this machine, shares the demo's intervention there, and uses it from an empty cache. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IntervenableModel, loadModel, mintToken, pushArtefact, startHub, verifyCache } from "../src/index.ts";

const folder = process.argv[2] ?? "examples/truthful-tiny";
const { test } = JSON.parse(readFileSync(join(folder, "questions.json"), "utf8")) as {
  readonly test: readonly { readonly question: string; readonly true: string }[];
};
const asked = test.slice(0, 50);
const prompts = asked.map(({ question }) => `Q: ${question} A:`);
const answerIn = (text: string) => text.trim().split(".")[0];
const short = { maxNewTokens: 8 };
const say = (line: string) => process.stdout.write(`${line}\n`);

const scratch = await mkdtemp(join(tmpdir(), "vene-hub-demo-"));
const token = mintToken();
const server = await startHub({ dir: join(scratch, "hub"), tokens: [{ token, name: "me", role: "write" }] });
const model = await loadModel(folder);
try {
  say(`serving ${server.url}`);
  const hub = { endpoint: server.url, token, cacheFolder: join(scratch, "cache") };

  const pushed = await pushArtefact(join(folder, "honest"), "me/honest", { hub, tags: ["v1"] });
  say(`pushed  ${pushed.ref}: ${pushed.written.length} files`);
  const again = await pushArtefact(join(folder, "honest"), "me/honest", { hub });
  say(`again   ${again.changed ? "a second commit" : "no second commit: nothing had changed"}`);

  const honest = await IntervenableModel.load("hf:me/honest@v1", model, { hub });
  say(`pulled  ${honest.pinned} into an empty cache`);
  for (const { repo, verified, bytes, faults } of await verifyCache({ hub })) {
    say(`checked ${repo}: ${verified} files, ${bytes} bytes, ${faults.length} faults`);
  }

  const plain = (await model.generate(prompts, short)).map(({ text }) => answerIn(text));
  const steered = (await honest.generate(prompts, short)).map(({ text }) => answerIn(text));
  for (const i of [0, 1]) say(`\n${asked[i]!.question}\n  plain:   ${plain[i]}\n  steered: ${steered[i]}`);
  const right = (answers: readonly unknown[]) => answers.filter((answer, i) => answer === asked[i]!.true).length;
  say(`\ntrue answers to ${asked.length} questions: ${right(plain)} plain, ${right(steered)} steered`);
} finally {
  await model.release();
  await server.close();
  await rm(scratch, { recursive: true });
}
