/** The tokenizer of a model folder: tokenizer.json through @huggingface/tokenizers, with vene's errors. */
import { join } from "node:path";
import type { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import { readSmallFile } from "../base/bytes.ts";
import { messageOf, VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";

/** The largest honest tokenizer.json files have some 35 MB. */
const MAX_TOKENIZER_BYTES = 256 << 20;

type Json = Record<string, unknown>;

export class Tokenizer {
  readonly #tokenizer: HubTokenizer;
  /** tokenizer_config.json; chat templates and special token names are read from it. */
  readonly config: Json;

  private constructor(tokenizer: HubTokenizer, config: Json) {
    this.#tokenizer = tokenizer;
    this.config = config;
  }

  /** Undefined when the folder has no tokenizer.json. Throws `tokenizer-missing` when it has one that cannot be used. */
  static async open(folder: string): Promise<Tokenizer | undefined> {
    const json = await readIfThere(join(folder, "tokenizer.json"));
    if (json === undefined) return undefined;
    const config = (await readIfThere(join(folder, "tokenizer_config.json"))) ?? {};
    const { Tokenizer: Loader } = await import("@huggingface/tokenizers");
    try {
      return new Tokenizer(new Loader(json, config), config);
    } catch (cause) {
      throw new VeneError("tokenizer-missing", `${folder}/tokenizer.json cannot be used: ${messageOf(cause)}`, {
        hint: "give token ids in place of text, or a tokenizer.json saved by the tokenizers library",
        details: { folder },
        cause,
      });
    }
  }

  /** Token ids of a text. `special`: with the tokens the model expects around a plain text (BOS), as transformers does by default. */
  encode(text: string, special = true): number[] {
    return Array.from(this.#tokenizer.encode(text, { add_special_tokens: special }).ids, Number);
  }

  /** Text of token ids. Bytes of a character that is not complete come out as U+FFFD. */
  decode(ids: readonly number[], skipSpecial = true): string {
    if (ids.length === 0) return "";
    return this.#tokenizer.decode([...ids], { skip_special_tokens: skipSpecial, clean_up_tokenization_spaces: false });
  }

  /** The id of a token by its spelling. */
  idOf(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }

  /** The token's spelling in the vocabulary. */
  tokenOf(id: number): string | undefined {
    return this.#tokenizer.id_to_token(id);
  }

  /** A special token's text from the config, where it stands as a string or as an object with `content`. */
  specialToken(name: "bos_token" | "eos_token" | "pad_token" | "unk_token"): string | undefined {
    const entry = this.config[name];
    if (typeof entry === "string") return entry;
    const content = (entry as { content?: unknown } | null | undefined)?.content;
    return typeof content === "string" ? content : undefined;
  }
}

async function readIfThere(path: string): Promise<Json | undefined> {
  try {
    const json = parseJson(await readSmallFile(path, MAX_TOKENIZER_BYTES), { name: path });
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Json;
    throw new VeneError("tokenizer-missing", `${path} is not a JSON object`);
  } catch (error) {
    if (error instanceof VeneError && error.code === "file-missing") return undefined;
    throw error;
  }
}
