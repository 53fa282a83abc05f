/** Keeps the access token where Python's huggingface_hub looks: HF_HOME/token, and by name in HF_HOME/stored_tokens. */
import { chmod, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../base/atomic.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import type { HubEnvironment } from "./environment.ts";

/** Files and folder are their owner's alone. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** Makes a token the one in use, under a name as `hf auth list` shows it. Throws `write-failed`. */
export async function storeToken(
  { tokenFile, homeFolder }: HubEnvironment,
  token: string,
  name: string,
): Promise<void> {
  const folder = dirname(tokenFile);
  const section = `[${sectionName(name)}]\nhf_token = ${token}\n`;
  const others = sectionsOf(await storedText(folder)).filter((one) => one.name !== sectionName(name));
  await writeFileAtomic(
    join(folder, "stored_tokens"),
    [...others.map(({ text }) => text), section].join("\n"),
    FILE_MODE,
  );
  await writeFileAtomic(tokenFile, token, FILE_MODE);
  // Another folder than the usual one may be shared with other things. Windows has no modes.
  if (folder === homeFolder) await chmod(folder, FOLDER_MODE).catch(() => undefined);
}

/** Forgets the token in use; other stored ones stay. False when there was none. Throws `hub-cache`, `write-failed`. */
export async function removeToken({ tokenFile }: HubEnvironment): Promise<boolean> {
  const token = (await textOf(tokenFile)).trim();
  const folder = dirname(tokenFile);
  const before = sectionsOf(await storedText(folder));
  const others = before.filter((one) => token === "" || one.token !== token);
  if (others.length < before.length) {
    const path = join(folder, "stored_tokens");
    await writeFileAtomic(path, others.map(({ text }) => text).join("\n"), FILE_MODE);
  }
  await rm(tokenFile, { force: true });
  return token !== "";
}

interface Section {
  readonly name: string;
  readonly token: string | undefined;
  /** As it stands in the file, header and all, so that keys we do not know survive. */
  readonly text: string;
}

/** Python's configparser: [section] lines, then "key = value" lines. */
function sectionsOf(text: string): Section[] {
  return text
    .split(/^(?=\[[^\]\n]*\][ \t]*$)/m)
    .filter((part) => part.startsWith("["))
    .map((part) => ({
      name: part.slice(1, part.indexOf("]")),
      token: /^hf_token[ \t]*[=:][ \t]*(\S+)[ \t]*$/im.exec(part)?.[1],
      text: `${part.trimEnd()}\n`,
    }));
}

/** The Hub lets people call tokens anything; configparser does not, and DEFAULT means something to it. */
function sectionName(name: string): string {
  const plain = name.replace(/[\p{Cc}[\]]+/gu, "_").trim();
  return plain === "" || plain === "DEFAULT" ? `token ${plain}`.trim() : plain;
}

const storedText = (folder: string) => textOf(join(folder, "stored_tokens"));

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const system = systemCodeOf(cause);
    if (system === "ENOENT" || system === "ENOTDIR") return "";
    throw new VeneError("hub-cache", `cannot read ${path}: ${messageOf(cause)}`, { details: { path, system }, cause });
  }
}
