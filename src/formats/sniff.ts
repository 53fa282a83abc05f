/** Names a file's format by its first bytes, so that a wrong file gets a message that says what it is. */

/** Bytes from the start of a file that `sniffFormat` needs to know all of them. */
export const SNIFF_LENGTH = 512;

/** Formats that turn up under a wrong name, as messages call them. */
export const fileFormats = {
  zip: "a zip archive (torch.save since 1.6, npz)",
  "torch-legacy": "a torch file of before 1.6 (consecutive pickles)",
  pickle: "a bare Python pickle",
  tar: "a tar archive",
  gguf: "a GGUF file",
  safetensors: "a safetensors file",
  npy: "a NumPy .npy file",
  hdf5: "an HDF5 file",
  "lfs-pointer": "a Git LFS pointer, not the file itself",
  html: "an HTML page",
} as const;

export type FileFormat = keyof typeof fileFormats;

/** The start of `torch.save(..., _use_new_zipfile_serialization=False)`: a pickle of its magic number. */
const torchLegacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

const prefixes: readonly (readonly [string, FileFormat])[] = [
  ["PK\x03\x04", "zip"],
  ["PK\x05\x06", "zip"],
  [torchLegacyMagic, "torch-legacy"],
  ["\x80\x02", "pickle"],
  ["\x80\x03", "pickle"],
  ["\x80\x04", "pickle"],
  ["\x80\x05", "pickle"],
  ["\x93NUMPY", "npy"],
  ["\x89HDF\r\n", "hdf5"],
  ["version https://git-lfs", "lfs-pointer"],
];

/** The format that these first bytes announce, if it is one of the known ones. */
export function sniffFormat(head: Uint8Array): FileFormat | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, SNIFF_LENGTH)).toString("latin1");
  if (text.startsWith("GGUF")) return "gguf";
  // A header length whose three high bytes are zero, then the JSON object. Before the prefixes: a header of 640 bytes
  // begins like a pickle of protocol 2. After GGUF: one of 123 tensors has these four bytes too.
  if (text.slice(5, 9) === "\0\0\0{") return "safetensors";
  const known = prefixes.find(([prefix]) => text.startsWith(prefix));
  if (known !== undefined) return known[1];
  if (text.startsWith("ustar", 257)) return "tar";
  if (/^\s*<(!doctype )?html/i.test(text)) return "html";
  return undefined;
}
