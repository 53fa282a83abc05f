/** ByteSource: the one way parsers read, so that a file, a buffer in memory and later an HTTP range are the same to them. */
import { constants, type FileHandle, open } from "node:fs/promises";
import { messageOf, systemCodeOf, VeneError } from "./errors.ts";

export interface ByteSource {
  /** What messages call it: a path or a URL. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Bytes [start, end), exactly end - start of them; throws `file-unreadable` when the source is shorter than it said. */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Bytes already in memory. Reads are views, not copies. */
export function memorySource(bytes: Uint8Array, name = "memory"): ByteSource {
  return {
    name,
    size: bytes.length,
    async read(start, end) {
      checkRange(name, bytes.length, start, end);
      return bytes.subarray(start, end);
    },
  };
}

/** Opens `path`, hands its source to `use`, and closes the file whatever happens. Throws `file-missing` or `file-unreadable`. */
export async function withFile<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  const handle = await openForReading(path);
  try {
    const status = await handle.stat();
    if (!status.isFile()) {
      throw new VeneError("file-unreadable", `${path} is not a regular file`, { details: { path } });
    }
    return await use(handleSource(handle, path, status.size));
  } finally {
    await handle.close();
  }
}

/** The whole file, refusing more than `limit` bytes (configs, manifests, tokenizers: things that are small when honest). */
export async function readSmallFile(path: string, limit: number): Promise<Uint8Array> {
  return withFile(path, async (source) => {
    if (source.size > limit) {
      throw new VeneError("file-unreadable", `${path} has ${source.size} bytes, more than the ${limit} allowed here`, {
        details: { path, size: source.size, limit },
      });
    }
    return source.read(0, source.size);
  });
}

function handleSource(handle: FileHandle, path: string, size: number): ByteSource {
  return {
    name: path,
    size,
    async read(start, end) {
      checkRange(path, size, start, end);
      const out = new Uint8Array(end - start);
      let filled = 0;
      while (filled < out.length) {
        const { bytesRead } = await handle.read(out, filled, Math.min(out.length - filled, 1 << 30), start + filled);
        if (bytesRead === 0) {
          throw new VeneError("file-unreadable", `${path} ended at byte ${start + filled}, expected ${size}`, {
            hint: "the file was truncated while it was read; fetch it again",
            details: { path, size },
          });
        }
        filled += bytesRead;
      }
      return out;
    },
  };
}

function checkRange(name: string, size: number, start: number, end: number): void {
  if (start < 0 || end < start || end > size) {
    throw new VeneError("file-unreadable", `${name}: bytes ${start} to ${end} asked of ${size}`, {
      details: { name, start, end, size },
    });
  }
}

/** Without O_NONBLOCK (absent on Windows) opening a named pipe would wait for a writer for ever. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, READ_ONLY);
  } catch (cause) {
    const code = systemCodeOf(cause) === "ENOENT" ? "file-missing" : "file-unreadable";
    throw new VeneError(code, `cannot open ${path}: ${messageOf(cause)}`, { details: { path }, cause });
  }
}
