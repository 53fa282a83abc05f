/** The ONNX file format: bytes to plain objects and back, keeping whatever a newer onnx.proto may have added. */
import { decode } from "./decode.ts";
import { encode } from "./encode.ts";
import type { MessageName } from "./messages.ts";
import { plans } from "./plan.ts";
import type { Decoded, Init, ModelProto } from "./types.ts";

/**
 * The model that `bytes` hold. Nothing large is copied: rawData and other bytes are views of the input, which must stay
 * unchanged as long as they are used. Bytes that miss a graph are still a valid message: `graph` is then absent.
 *
 * Throws `onnx-invalid`, naming message, field and byte offset, for truncated or overlong numbers, lengths beyond the end,
 * a wire type that the field cannot have, text that is not UTF-8, more than 100 nested subgraphs or types, and graphs that
 * would take more than about 1 GB of memory besides the bytes.
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return decodeMessage("ModelProto", bytes);
}

/**
 * The bytes of a model: known fields in the order of their numbers, as protobuf's own writers do, then unknown ones. A field
 * that is set is written even if it is 0 or "". Besides the result, memory grows by a few bytes per message.
 *
 * Throws `graph-invalid` for a value its field cannot hold (an int64 out of range, half a surrogate pair, two members of a
 * oneof), for nesting beyond 100, and for more than 2 GiB - 1 in all, protobuf's limit.
 */
export function encodeModel(model: Init<"ModelProto">): Uint8Array {
  return encodeMessage("ModelProto", model);
}

/** As `decodeModel`, for a message of any kind: a TensorProto in a .pb file, for example. */
export function decodeMessage<M extends MessageName>(name: M, bytes: Uint8Array): Decoded<M> {
  return decode(plans[name], bytes) as Decoded<M>;
}

/** As `encodeModel`, for a message of any kind. */
export function encodeMessage<M extends MessageName>(name: M, message: Init<M>): Uint8Array {
  return encode(plans[name], message as { readonly [field: string]: unknown });
}
