/** Where vene keeps what a user decided: keys, pins, registries. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** VENE_CONFIG, else XDG_CONFIG_HOME/vene, else ~/.config/vene. */
export function configFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = environment["VENE_CONFIG"];
  if (own) return resolve(own);
  const xdg = environment["XDG_CONFIG_HOME"];
  return join(xdg ? resolve(xdg) : join(homedir(), ".config"), "vene");
}

/** Where keys are looked for and pinned unless told: the folder "keys" and the file "known-keys.json" in {@link configFolder}. */
export function signingPlaces(environment?: Readonly<Record<string, string | undefined>>): {
  readonly keys: string;
  readonly pins: string;
} {
  const folder = configFolder(environment);
  return { keys: join(folder, "keys"), pins: join(folder, "known-keys.json") };
}
