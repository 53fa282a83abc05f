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
  "onnx-invalid": "Bytes that should be an ONNX model do not decode as one.",
  "gguf-invalid": "A GGUF file is malformed.",

  "graph-invalid": "A graph breaks a rule of the checker: an internal fault, please report it.",

  "artefact-missing": "The folder holds neither a vene artefact nor anything pyvene saved.",
  "manifest-invalid": "intervention.json does not follow format 1.",
  "format-newer": "intervention.json was written by a newer vene.",
  "artefact-tensor": "A tensor that the manifest names is absent, extra, or of another shape or digest.",
  "pyvene-config": "A pyvene config.json cannot be understood.",
  "pyvene-class": "A pyvene config names an intervention class that vene does not know.",
  "pyvene-unwritable": "An intervention has no equivalent that pyvene can load.",

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
  "runtime-failed": "onnxruntime refused a graph or a run, or the numbers it computed overflowed.",
  released: "The model was released and then used.",
} as const;

export type ErrorCode = keyof typeof errorCodes;
