/** saveIntervention: what a model's interventions become on the Hub, and that loading them from there says the same. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { escapeMarkdown } from "../../src/artefact/escape.ts";
import { IntervenableModel, loadModel, type Model, writeArtefact } from "../../src/index.ts";
import { temporaryFolder } from "../artefact/places.ts";
import { honest, tiny } from "../cli/terminal.ts";
import { FlakyHub } from "../support/flaky-hub.ts";

let hub: FlakyHub;
let model: Model;
beforeAll(async () => {
  hub = await FlakyHub.start();
  model = await loadModel(tiny);
});
afterAll(async () => {
  await model.release();
  await hub.close();
});

const prompt = "Q: Which is larger, 27 or 7? A:";
const card = (repo: string) => hub.ask(`/${repo}/resolve/main/README.md`) as Promise<string>;

test("pushes with samples that the model answered, and loads to the same answer", async () => {
  const iv = await IntervenableModel.load(honest, model);
  const options = { hub: hub.options, samples: [prompt], maxNewTokens: 8 };
  const pushed = await iv.saveIntervention("me/honest", options);
  expect(pushed).toMatchObject({ repo: "me/honest", created: true, changed: true });
  const plain = await model.generate(prompt, { maxNewTokens: 8 });
  const steered = await iv.generate(prompt, { maxNewTokens: 8 });
  expect(steered.tokens).not.toEqual(plain.tokens);
  expect(await card("me/honest")).toContain(
    `| ${[prompt, plain.text, steered.text].map(escapeMarkdown).join(" | ")} |`,
  );

  const again = await IntervenableModel.load(pushed.ref, model, { hub: hub.options });
  expect((await again.generate(prompt, { maxNewTokens: 8 })).tokens).toEqual(steered.tokens);
  expect(again.artefact.manifest.expected).toEqual([
    { prompt, maxNewTokens: 8, plain: plain.tokens, steered: steered.tokens },
  ]);

  // What it was loaded with is what is pushed: samples are decoded from the record, and nothing changes.
  expect(await again.saveIntervention("me/honest", { hub: hub.options })).toMatchObject({ changed: false });
  await again.saveIntervention("me/copy", { hub: hub.options, license: "mit" });
  expect(await card("me/copy")).toContain(`| ${prompt} | ${escapeMarkdown(plain.text)} |`);
});

test("leaves pyvene's files out when told, and knows its options", async () => {
  const folder = await temporaryFolder();
  const iv = await IntervenableModel.load(honest, model);
  await writeArtefact(folder, iv.artefact, { pyvene: false });
  const pushed = await iv.saveIntervention("me/plain", { hub: hub.options, pyvene: false });
  expect([...pushed.written].sort()).toEqual(["README.md", "intervention.json", "intervention.safetensors"]);
  await expect(iv.saveIntervention("me/x", { sample: ["x"] } as never)).rejects.toMatchObject({ code: "usage" });
});
