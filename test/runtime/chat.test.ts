/** Chat templates: from either file, in either form, and what is said when they are missing, broken or displeased. */
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ChatMessage } from "../../src/runtime/chat.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { repository } from "../support/source-files.ts";

const example = `${repository}examples/truthful-tiny`;
const template =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
const messages: ChatMessage[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Which is larger, 7 or 31?" },
];

let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

interface Files {
  readonly config?: object;
  readonly jinja?: string;
  readonly tokenizer?: string;
}

async function modelWith({ config, jinja, tokenizer }: Files): Promise<Model> {
  const folder = await shop.folder();
  for (const name of ["config.json", "model.safetensors", "tokenizer.json"])
    await cp(join(example, name), join(folder, name));
  const usual = { bos_token: "<s>", eos_token: { content: "</s>", lstrip: false } };
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify({ ...usual, ...config }));
  if (jinja !== undefined) await writeFile(join(folder, "chat_template.jinja"), jinja);
  if (tokenizer !== undefined) await writeFile(join(folder, "tokenizer.json"), tokenizer);
  return loadModel(folder, { cacheFolder: shop.path("cache") });
}

const expected = "system: Be brief.</s>\nuser: Which is larger, 7 or 31?</s>\nassistant:";

describe("a template", () => {
  test.each<[string, Files]>([
    ["in tokenizer_config.json", { config: { chat_template: template } }],
    [
      "in a list of named ones",
      {
        config: {
          chat_template: [
            { name: "tool_use", template: "no" },
            { name: "default", template },
          ],
        },
      },
    ],
    ["in chat_template.jinja", { jinja: template }],
    ["in chat_template.jinja, which comes first", { jinja: template, config: { chat_template: "no" } }],
  ])("%s", async (_, files) => {
    const model = await modelWith(files);
    expect(model.chatTemplate!(messages)).toBe(expected);
    const ids = model.encode(messages);
    expect(model.tokenizer!.decode(ids, false)).toBe(expected);
    expect(ids).toEqual(model.tokenizer!.encode(expected, false));
    expect(ids[0]).not.toBe(1);
    expect(ids.filter((id) => id === 2).length).toBe(2);
  });

  test("blocks leave no blank lines, as transformers sets jinja up", async () => {
    const model = await modelWith({
      jinja: "{% for m in messages %}\n  {% if m.role == 'user' %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}",
    });
    expect(model.chatTemplate!(messages)).toBe("Which is larger, 7 or 31?\n");
  });

  test("a batch of conversations and one conversation are told apart", async () => {
    const model = await modelWith({ jinja: template });
    const options = { maxNewTokens: 2, eosTokenIds: [] };
    const one = await model.generate(messages, options);
    const rows = await model.generate([messages, [messages[1]!]], options);
    expect(rows[0]!.tokens).toEqual(one.tokens);
    expect(rows[1]!.promptTokens.length).toBeLessThan(one.promptTokens.length);
  });
});

describe("refused", () => {
  test("messages for a model without one", async () => {
    for (const files of [
      {},
      { config: { chat_template: [] } },
      { config: { chat_template: [{ name: "tool_use", template }] } },
      { config: { chat_template: 5 } },
    ]) {
      const model = await modelWith(files);
      await expect(model.generate(messages)).rejects.toMatchObject({
        code: "chat-template",
        message: expect.stringContaining("no chat template"),
      });
    }
  });

  test.each(["{% for %}", "{{ messages", "{% if x %}", "{{ 1 + }}"])(
    "a template that does not parse: %s",
    async (jinja) => {
      await expect(modelWith({ jinja })).rejects.toMatchObject({
        code: "chat-template",
        message: expect.stringContaining("does not parse"),
      });
    },
  );

  test("what the template itself refuses, in its words", async () => {
    const model = await modelWith({
      jinja: "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}ok",
    });
    await expect(model.generate(messages)).rejects.toMatchObject({
      code: "chat-template",
      message: expect.stringContaining("System role not supported"),
    });
    expect(model.chatTemplate!([messages[1]!])).toBe("ok");
  });

  test("calls of what does not exist, and names of JavaScript's own", async () => {
    for (const jinja of ["{{ nothing() }}", "{{ messages[0].content.constructor('return process')() }}"]) {
      const model = await modelWith({ jinja });
      expect(() => model.encode(messages)).toThrow(expect.objectContaining({ code: "chat-template" }));
    }
  });

  test.each([
    ["loops for ever, nearly", "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"],
    ["builds without end", "{% for i in range(1000000000) %}x{% endfor %}"],
  ])("a template that %s is stopped", async (_, jinja) => {
    const model = await modelWith({ jinja });
    const began = performance.now();
    expect(() => model.encode(messages)).toThrow(expect.objectContaining({ code: "chat-template" }));
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  test("a template far larger than any honest one", async () => {
    await expect(modelWith({ jinja: "x".repeat((1 << 20) + 1) })).rejects.toMatchObject({ code: "file-unreadable" });
  });

  test.each<[string, string, string]>([
    ["not JSON", "{", "json-invalid"],
    ["a list", "[]", "tokenizer-missing"],
    ["an empty object", "{}", "tokenizer-missing"],
    ["a model of no known type", '{"model":{"type":"Magic"}}', "tokenizer-missing"],
    ["null", "null", "tokenizer-missing"],
  ])("a tokenizer.json that is %s", async (_, tokenizer, code) => {
    await expect(modelWith({ tokenizer })).rejects.toMatchObject({ code });
  });
});
