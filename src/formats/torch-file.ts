/** Reads what torch.save wrote (zip form) into plain values and tensors; nothing in the file is executed. */
import type { ByteSource } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { readPickle } from "./pickle.ts";
import { type FileFormat, fileFormats, SNIFF_LENGTH, sniffFormat } from "./sniff.ts";
import { allowsGlobal, resolveTorchValue, type StorageContents, storageOf, type TorchValue } from "./torch-values.ts";
import { readZipDirectory, readZipEntry, type ZipDirectory } from "./zip.ts";

export { encodeTorchFile, type TorchEncodeOptions } from "./torch-encode.ts";
export type { TorchValue } from "./torch-values.ts";

/**
 * Reads a `.pt`/`.bin`/`.pth` file of torch 1.6 or later. Devices and requires_grad are ignored.
 *
 * Throws `torch-unsupported` for older layouts, TorchScript, complex numbers and other formats, by name; `zip-invalid` for a
 * damaged container; `pickle-refused` for any global or opcode that is not on torch's own weights-only list of what tensors
 * need; `pickle-invalid` for a pickle that does not add up.
 */
export async function readTorchFile(source: ByteSource): Promise<TorchValue> {
  await checkIsZip(source);
  const directory = await readZipDirectory(source);
  const root = findRoot(source.name, directory);
  const name = `${source.name} (${root}/data.pkl)`;
  const bigEndian = await readBigEndian(source, directory, root);
  const pickle = readPickle(await readZipEntry(source, directory.get(`${root}/data.pkl`)!), {
    name,
    allows: allowsGlobal,
  });
  const contents: StorageContents = { name, bytes: new Map(), bigEndian, budget: { left: 16 * source.size + 2 ** 26 } };
  for (const node of pickle.persistent) {
    const { key, length } = storageOf(name, node);
    const entry = directory.get(`${root}/data/${key}`);
    if (entry === undefined || entry.size !== length) {
      throw new VeneError(
        "pickle-invalid",
        `${name}: storage ${key} has ${length} bytes, its entry ${entry?.size ?? "is missing"}`,
        {
          hint: "the file is damaged or incomplete; fetch it again",
          details: { name, key, length, found: entry?.size },
        },
      );
    }
    if (!contents.bytes.has(key)) contents.bytes.set(key, await readZipEntry(source, entry));
  }
  return resolveTorchValue(pickle.value, contents);
}

const resave = "open it in a current torch and save it again: torch.save(torch.load(path), path)";

const otherFormats: { readonly [K in Exclude<FileFormat, "zip">]: string } = {
  "torch-legacy": resave,
  pickle: `if torch wrote it, ${resave}`,
  tar: `if torch before 0.1.10 wrote it, ${resave}`,
  gguf: "read it as a GGUF control vector",
  safetensors: "read it as safetensors",
  npy: "in Python: torch.save(torch.from_numpy(numpy.load(path)), path)",
  hdf5: "vene reads torch, safetensors and GGUF files",
  "lfs-pointer": "fetch the content: git lfs pull",
  html: "the download was answered with a page; check the address and that you may read it",
};

async function checkIsZip(source: ByteSource): Promise<void> {
  const head = await source.read(0, Math.min(source.size, SNIFF_LENGTH));
  const format = sniffFormat(head);
  if (format === "zip") return;
  if (format === undefined) {
    const first = Buffer.from(head.subarray(0, 8)).toString("hex");
    throw new VeneError(
      "zip-invalid",
      `${source.name} is not a torch file: it begins with the bytes ${first || "(none)"}`,
      {
        hint: "torch.save writes zip archives, which begin with 504b0304",
        details: { name: source.name },
      },
    );
  }
  throw new VeneError(
    "torch-unsupported",
    `${source.name} is ${fileFormats[format]}, which is not read as a torch file`,
    {
      hint: otherFormats[format],
      details: { name: source.name, format },
    },
  );
}

/** The one folder that everything lies in, named after the file at the time it was saved. */
function findRoot(name: string, directory: ZipDirectory): string {
  const roots = [...directory.keys()]
    .filter((entry) => /^[^/]+\/data\.pkl$/.test(entry))
    .map((entry) => entry.slice(0, -9));
  const [root] = roots;
  if (root === undefined || roots.length > 1) {
    const some = [...directory.keys()].slice(0, 4).join(", ");
    throw new VeneError(
      "torch-unsupported",
      `${name} is a zip with ${roots.length} data.pkl; it holds ${some || "nothing"}`,
      {
        hint: "torch.save writes one folder with one data.pkl",
        details: { name },
      },
    );
  }
  if (directory.has(`${root}/constants.pkl`)) {
    throw new VeneError("torch-unsupported", `${name} is a TorchScript archive, which holds code`, {
      hint: "in Python: torch.save(torch.jit.load(path).state_dict(), path)",
      details: { name },
    });
  }
  return root;
}

async function readBigEndian(source: ByteSource, directory: ZipDirectory, root: string): Promise<boolean> {
  const entry = directory.get(`${root}/byteorder`);
  if (entry === undefined) return false;
  const order = entry.size > 16 ? "" : Buffer.from(await readZipEntry(source, entry)).toString("latin1");
  if (order === "little" || order === "big") return order === "big";
  throw new VeneError("torch-unsupported", `${source.name} has the byte order ${JSON.stringify(order)}`, {
    hint: 'torch writes "little" or "big"',
    details: { name: source.name, order },
  });
}
