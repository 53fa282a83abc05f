/** huggingface_hub's environment: endpoints, tokens, folders, switches; and names on the Hub. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { hubEnvironment } from "../../src/hub/environment.ts";
import {
  apiPath,
  cacheFolderName,
  checkRevision,
  looksLikeRepo,
  parseRepoId,
  parseRepoRef,
  resolveUrl,
  webPath,
} from "../../src/hub/repo-id.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "vene-home-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const usage = expect.objectContaining({ code: "hub-usage" });

describe("16: HF_ENDPOINT", () => {
  test.each([
    ["https://huggingface.co/", "https://huggingface.co"],
    ["HTTPS://Hub.Example:443//", "https://hub.example"],
    ["http://127.0.0.1:7860", "http://127.0.0.1:7860"],
    ["http://[::1]:7860/", "http://[::1]:7860"],
    ["https://mirror.example/hf/", "https://mirror.example/hf"],
  ])("%s is %s", (given, endpoint) => {
    expect(hubEnvironment({}, { HOME: home, HF_ENDPOINT: given }).endpoint).toBe(endpoint);
    expect(hubEnvironment({ endpoint: given }, { HOME: home }).endpoint).toBe(endpoint);
  });

  test.each([
    "huggingface.co",
    "ftp://x",
    "file:///etc",
    "http://",
    "https://me:secret@hub",
    "https://hub?x=1",
    "https://hub#x",
  ])("%s is refused, without its password", (endpoint) => {
    expect(() => hubEnvironment({ endpoint }, { HOME: home })).toThrow(usage);
    expect(() => hubEnvironment({ endpoint }, { HOME: home })).toThrow(
      expect.not.objectContaining({ message: /secret/ }),
    );
  });

  test("empty is as good as unset", () => {
    expect(hubEnvironment({}, { HOME: home, HF_ENDPOINT: "" }).endpoint).toBe("https://huggingface.co");
  });
});

describe("17: tokens", () => {
  const tokenOf = (variables: Record<string, string>, options = {}) =>
    hubEnvironment(options, { HOME: home, ...variables }).token;

  test("options, then variables, then the file that both command lines write", () => {
    expect(tokenOf({})).toBeUndefined();
    mkdirSync(join(home, ".cache/huggingface"), { recursive: true });
    writeFileSync(join(home, ".cache/huggingface/token"), "from-file\n");
    expect(tokenOf({})).toBe("from-file");
    expect(tokenOf({ HUGGING_FACE_HUB_TOKEN: "older" })).toBe("older");
    expect(tokenOf({ HUGGING_FACE_HUB_TOKEN: "older", HF_TOKEN: " newer \n" })).toBe("newer");
    expect(tokenOf({ HF_TOKEN: "env" }, { token: "given" })).toBe("given");
    expect(tokenOf({ HF_TOKEN: "env" }, { token: null })).toBeUndefined();
    expect(tokenOf({ HF_TOKEN: "env", HF_HUB_DISABLE_IMPLICIT_TOKEN: "Yes" })).toBeUndefined();
    writeFileSync(join(home, "elsewhere"), "other");
    expect(tokenOf({ HF_TOKEN_PATH: "~/elsewhere" })).toBe("other");
  });

  test("of the environment go to the environment's endpoint only", () => {
    expect(tokenOf({ HF_TOKEN: "env" }, { endpoint: "https://other.example" })).toBeUndefined();
    expect(tokenOf({ HF_TOKEN: "env" }, { endpoint: "https://huggingface.co" })).toBe("env");
    const variables = { HF_TOKEN: "env", HF_ENDPOINT: "http://127.0.0.1:7860" };
    expect(tokenOf(variables)).toBe("env");
    expect(tokenOf(variables, { endpoint: "http://127.0.0.1:7861" })).toBeUndefined();
    expect(tokenOf(variables, { endpoint: "http://127.0.0.1:7861", token: "given" })).toBe("given");
  });

  test.each(["two\nlines", "a b", "tab\tbed", "naïve", "\u0000", ""])("%j is refused and not repeated", (token) => {
    const make = () => tokenOf({}, { token });
    expect(make).toThrow(usage);
    if (token !== "") expect(make).toThrow(expect.not.objectContaining({ message: expect.stringContaining(token) }));
  });

  test("a token file that is a folder is a damaged cache", () => {
    mkdirSync(join(home, ".cache/huggingface/token"), { recursive: true });
    expect(() => tokenOf({})).toThrow(expect.objectContaining({ code: "hub-cache" }));
  });
});

describe("folders and switches", () => {
  test.each([
    [{}, ".cache/huggingface/hub"],
    [{ XDG_CACHE_HOME: "$HOME/xdg" }, "xdg/huggingface/hub"],
    [{ HF_HOME: "~/hf" }, "hf/hub"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's variable, as it is
    [{ HF_HOME: "~/hf", HUGGINGFACE_HUB_CACHE: "${HOME}/older" }, "older"],
    [{ HF_HOME: "~/hf", HUGGINGFACE_HUB_CACHE: "/older", HF_HUB_CACHE: "~" }, ""],
    [{ HF_HUB_CACHE: "" }, ".cache/huggingface/hub"],
  ])("%j", (variables, expected) => {
    expect(hubEnvironment({}, { HOME: home, ...variables }).cacheFolder).toBe(join(home, expected));
  });

  test("true values, seconds, proxies", () => {
    const variables = { HOME: home, HF_HUB_OFFLINE: "on", HF_HUB_DISABLE_SYMLINKS: "TRUE", HF_HUB_ETAG_TIMEOUT: "2.5" };
    const more = {
      HF_HUB_DOWNLOAD_TIMEOUT: "never",
      HTTPS_PROXY: "http://p:1",
      no_proxy: "a",
      HF_HUB_DISABLE_PROGRESS_BARS: "0",
    };
    expect(hubEnvironment({}, { ...variables, ...more })).toMatchObject({
      ...{ offline: true, symlinks: false, progress: true, etagTimeoutMs: 2500, downloadTimeoutMs: 30_000 },
      proxies: { http: "", https: "http://p:1", bypass: "a" },
    });
    expect(hubEnvironment({ offline: false }, variables).offline).toBe(false);
    expect(hubEnvironment({}, { HOME: home, TRANSFORMERS_OFFLINE: "1" }).offline).toBe(true);
  });

  test("misspelt options are refused", () => {
    expect(() => hubEnvironment({ cacheDir: "/x" } as never, {})).toThrow(usage);
    expect(() => hubEnvironment({ cacheFolder: "a\0b" }, {})).toThrow(usage);
  });
});

describe("names", () => {
  test("ids, with a type and with a revision", () => {
    expect(parseRepoId("gpt2")).toEqual({ type: "model", name: "gpt2" });
    expect(parseRepoId("datasets/lab/x")).toEqual({ type: "dataset", name: "lab/x" });
    expect(parseRepoId("lab/x", "space")).toEqual({ type: "space", name: "lab/x" });
    expect(parseRepoRef("hf:lab/x@v1")).toEqual(parseRepoRef("lab/x@v1"));
    expect(parseRepoRef("lab/x@refs/pr/1")).toEqual({ repo: { type: "model", name: "lab/x" }, revision: "refs/pr/1" });
    const repo = parseRepoId("datasets/lab/x");
    expect([apiPath(repo), webPath(repo)]).toEqual(["/api/datasets/lab/x", "/datasets/lab/x"]);
    expect(cacheFolderName(repo)).toBe("datasets--lab--x");
    expect(resolveUrl("http://h", parseRepoId("lab/x"), "a/b", "d e/#1?%.bin")).toBe(
      "http://h/lab/x/resolve/a%2Fb/d%20e/%231%3F%25.bin",
    );
  });

  test.each([
    "",
    "a/b/c",
    "/a",
    "a/",
    "-a/b",
    "a/b.",
    "a--b",
    "a..b",
    "a/b.git",
    "a b",
    "ü/x",
    "x".repeat(97),
    "..",
    "a\\b",
    7,
  ])("%j is no id", (text) => {
    expect(() => parseRepoId(text as string)).toThrow(usage);
    if (typeof text === "string") expect(looksLikeRepo(text)).toBe(false);
  });

  test.each(["", "../x", "a//b", "/a", "a/", ".a", "a.lock", "a b", "a\nb", "-x", "a..b", "x".repeat(201), null])(
    "%j is no revision",
    (text) => {
      expect(() => checkRevision(text as string)).toThrow(usage);
    },
  );

  test("ids are told from paths", () => {
    expect(["lab/x", "gpt2", "lab/x@v1.0", "lab/x@refs/pr/2"].map(looksLikeRepo)).toEqual([true, true, true, true]);
    expect(looksLikeRepo("hf:lab/x@v1")).toBe(true);
    expect(["./lab/x", "/lab/x", "lab\\x", "a@b@c", "lab/x@", "~/x"].map(looksLikeRepo)).toEqual(Array(6).fill(false));
  });
});
