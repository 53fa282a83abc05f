/** The closed list of error codes, each with the sentence that docs/errors.md prints for it. */

export const errorCodes = {
  "file-missing": "A file or folder that was asked for does not exist.",
  "file-unreadable": "A file exists but could not be read or changed while it was read.",
  "write-failed": "A file or folder could not be written; nothing half-written is left behind.",
  aborted: "The caller's AbortSignal ended the work.",
  usage: "A command or an API call was given options that do not go together or do not parse.",

  "tensor-invalid": "A tensor's dtype, shape and bytes do not agree, or its values are not finite where they must be.",
  "json-invalid": "A JSON text is malformed, too deep, or names a key twice.",
  "safetensors-invalid": "A .safetensors file breaks the format's rules.",
  "zip-invalid": "A zip container is truncated, lying about its entries, or uses what torch never writes.",
  "pickle-invalid": "A pickle is truncated or does not decode to tensors.",
  "pickle-refused": "A pickle uses an opcode or a global that is not on the list; nothing was executed.",
  "torch-unsupported": "A torch file is of a layout that vene does not read (legacy, tar, TorchScript).",
  "onnx-invalid":
    "Bytes that should be an ONNX model do not decode as one, or it refers to weights that it must not have.",
  "onnx-unsupported":
    "An ONNX file is sound, but vene cannot run it or intervene on it; the message says what stands in the way.",
  "gguf-invalid": "A GGUF file is malformed.",
  "npy-invalid": "A NumPy array is malformed, or of a kind that vene does not read.",

  "graph-invalid": "A graph breaks a rule of the checker: an internal fault, please report it.",

  "artefact-missing": "The folder holds neither a vene artefact nor anything pyvene saved.",
  "manifest-invalid": "intervention.json does not follow format 1.",
  "format-newer": "intervention.json was written by a newer vene.",
  "card-invalid":
    "A README.md cannot be updated: its front matter is no YAML mapping, or it is too large or not UTF-8.",
  "artefact-tensor": "A tensor that the manifest names is absent, extra, or of another shape or digest.",
  "pyvene-config": "A pyvene config.json cannot be understood.",
  "pyvene-class": "A pyvene config names an intervention class that vene does not know.",
  "pyvene-unwritable": "An intervention has no equivalent that pyvene can load.",
  "import-invalid": "A PEFT adapter's or an SAE's files are incomplete or contradict each other.",
  "import-unsupported": "A PEFT adapter or an SAE computes what no kind of intervention expresses.",

  "checkpoint-invalid": "A checkpoint folder is incomplete or its files contradict each other.",
  "architecture-unknown": "The checkpoint's architecture is not one that vene compiles.",
  "config-unsupported": "The checkpoint's config asks for something its family's compiler does not do.",
  "weights-missing": "A weight or a shard that the architecture needs is absent, or has another shape.",

  "site-unknown": "No value of the model is called that: unknown component or module path.",
  "site-out-of-range": "The layer or head does not exist in this model.",
  "base-mismatch": "The intervention was made for a model of another shape or architecture.",
  "intervention-invalid": "An intervention's parameters do not fit its kind or its site.",
  "locations-invalid": "unit_locations cannot be matched with the interventions, rows or positions.",
  "sources-invalid": "The number or shape of sources does not fit the interventions.",
  "tokens-invalid": "A tokens policy cannot be understood or lies outside the prompt.",

  "tokenizer-missing": "The model folder has no tokenizer that vene can read, and text was given.",
  "chat-template": "The model has no chat template, or it fails on these messages.",
  "prompt-invalid": "A prompt is empty, ragged, or has token ids outside the vocabulary.",
  "context-length": "Prompt and new tokens exceed what the model was made for.",
  "generation-invalid": "A generation option is out of range.",
  "generation-unsupported": "The model cannot generate: it is an encoder.",
  "runtime-failed": "onnxruntime refused a graph or a run, or the numbers it computed overflowed.",
  released: "The model was released and then used.",

  "hub-offline": "Offline mode is on, and the cache lacks what was asked for.",
  "hub-unreachable": "The Hub did not answer: no connection, a timeout, or errors of the server after every retry.",
  "hub-unauthorized": "The Hub refused the token, wants one, or the repository is gated.",
  "hub-not-found": "The Hub has no such repository, revision or file, or hides it from this token.",
  "hub-conflict": "The repository exists already, or its branch moved since it was read.",
  "hub-rejected": "The Hub refused a request, or answered with something that breaks its protocol.",
  "hub-integrity": "Downloaded bytes do not have the digest or size that the Hub announced; nothing of them was kept.",
  "hub-cache": "The local Hub cache is damaged or cannot be read or written.",
  "hub-usage": "A repository id, revision, endpoint, token or path cannot be one of the Hub's.",

  "server-usage": "The embedded Hub was given options that cannot be, or a folder that is something else.",
  "server-storage": "The embedded Hub's folder is served already, damaged, or cannot be written.",

  "registry-missing": "No registry has an intervention, a version or an alias of that name.",
  "registry-invalid": "A document of a registry is malformed, or two of them contradict each other.",
  "registry-conflict":
    "A registry has the version with other bytes, a look-alike name, or kept changing while it was written.",
  "registry-yanked": "The version was withdrawn, or all that would do were.",
  "registry-mismatch": "The intervention was published for a base of another architecture or shape.",
  "registry-integrity":
    "Bytes, a log or a name are not what a registry, a lockfile or an earlier visit say they must be.",
  "registry-signature": "A signature is missing where one is required, or does not hold.",
  "registry-usage": "A registry was asked for something that cannot be: a malformed name, version, location or option.",
  "bundle-invalid": "A bundle breaks the rules for archives, or does not hold what its manifest says.",
} as const;

export type ErrorCode = keyof typeof errorCodes;
