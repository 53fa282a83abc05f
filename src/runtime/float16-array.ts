/** Works around onnxruntime-node choosing Float16Array where Node has it, which its native side does not take. */

/** Imports with `globalThis.Float16Array` hidden, so that every Node version sees float16 as Uint16Array. */
export async function importWithoutFloat16Array<T>(load: () => Promise<T>): Promise<T> {
  const descriptor = Object.getOwnPropertyDescriptor(globalThis, "Float16Array");
  if (descriptor === undefined) return load();
  Reflect.deleteProperty(globalThis, "Float16Array");
  try {
    return await load();
  } finally {
    Object.defineProperty(globalThis, "Float16Array", descriptor);
  }
}
