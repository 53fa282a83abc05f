/** Archives byte by byte, so that tests can write what no tool would. */
import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { temporaryFolder } from "./bundle-places.ts";

export interface Entry {
  readonly name: string;
  readonly content?: Uint8Array;
  /** "0" file, "1" hard link, "2" symbolic link, "3" device, "5" folder, "6" fifo, "S" sparse, "x" pax, "g" global pax, "L" GNU name. */
  readonly type?: string;
  readonly link?: string;
  readonly mode?: number;
  /** In place of the length of the content. */
  readonly size?: number;
}

const BLOCK = 512;

function padded(content: Uint8Array): Uint8Array {
  return Buffer.concat([content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}

/** One entry: header and content. */
export function entryBytes({
  name,
  content = new Uint8Array(0),
  type = "0",
  link = "",
  mode = 0o644,
  size,
}: Entry): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number) =>
    header.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  header.write(name, 0, 100, "utf8");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size ?? content.length, 124, 12);
  octal(0, 136, 12);
  header.fill(" ", 148, 156);
  header.write(type, 156, "latin1");
  header.write(link, 157, 100, "utf8");
  header.write("ustar\x0000", 257, "latin1");
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return Buffer.concat([header, padded(content)]);
}

/** One record of a pax header: its length is counted, itself included. */
export function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (`${length}`.length + rest !== length) length++;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

export const END = Buffer.alloc(2 * BLOCK);

/** Every file of a folder as entries, by name. */
export function entriesOf(folder: string): Entry[] {
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, content: readFileSync(join(folder, name)) }));
}

export function tar(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.map(entryBytes), END]);
}

/** Writes bytes as a file of its own, gzip'd unless told. */
export async function bundleFile(bytes: Uint8Array, gzip = true): Promise<string> {
  const file = join(await temporaryFolder(), "bundle.tgz");
  await writeFile(file, gzip ? gzipSync(bytes) : bytes);
  return file;
}
