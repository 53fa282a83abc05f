/** PEFT's alpha_pattern keys, which are regular expressions on module paths: those that name modules, without a regex engine. */
import { VeneError } from "../base/errors.ts";

/** Alternatives of a pattern. In `text` a * stands for any one character. */
export type ModulePattern = readonly { readonly anchored: boolean; readonly text: string }[];

const MAX_LENGTH = 4096;

/**
 * Reads names joined by "|", each perhaps with ^ and $. A regular expression from a file could take for ever, so others are
 * refused. Throws `import-unsupported`.
 */
export function parsePattern(key: string, where: string): ModulePattern {
  const alternatives = key.slice(0, MAX_LENGTH + 1).split("|");
  if (key.length > MAX_LENGTH || !alternatives.every((one) => /^\^?(?:[\w-]|\\?\.)+\$?$/.test(one))) {
    throw new VeneError("import-unsupported", `${where}: ${JSON.stringify(key.slice(0, 120))} is not a module's name`, {
      hint: 'vene reads names such as "q_proj" or "model.layers.0.self_attn.q_proj", joined by "|": spell the expression out',
      details: { key: key.slice(0, 120) },
    });
  }
  return alternatives.map((one) => ({
    anchored: one.startsWith("^"),
    text: one.replace(/^\^|\$$/g, "").replace(/\\?\./g, (dot) => (dot === "." ? "*" : ".")),
  }));
}

/** Whether the whole path, or what follows one of its dots, matches: PEFT's re.match(rf"(.*\\.)?({key})$", path). */
export function matchesPattern(pattern: ModulePattern, path: string): boolean {
  return pattern.some(({ anchored, text }) => {
    const start = path.length - text.length;
    if (start < 0 || (start > 0 && (anchored || path[start - 1] !== "."))) return false;
    for (let i = 0; i < text.length; i++) {
      if (text[i] !== "*" && text[i] !== path[start + i]) return false;
    }
    return true;
  });
}
