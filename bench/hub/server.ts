/** The embedded Hub in a process of its own. Says its URL and token over IPC, and closes when it is asked to. */
import { mintToken, startHub } from "../../src/index.ts";
import type { HubAccess } from "./protocol.ts";

const [dir = ""] = process.argv.slice(2);
const token = mintToken();
const server = await startHub({ dir, tokens: [{ token, name: "bench", role: "write" }] });
process.on("message", () => void server.close().then(() => process.exit(0)));
process.send?.({ url: server.url, token } satisfies HubAccess);
