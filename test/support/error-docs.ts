/** docs/errors.md as generated from the table of codes and from where the sources raise them. */
import { type ErrorCode, errorCodes } from "../../src/base/error-codes.ts";

const introduction = `# Errors

Everything vene refuses on purpose is a \`VeneError\`: \`code\` is one of the words below and never changes its meaning, \`message\`
says what happened and with which values, \`hint\` says what to do, \`details\` has the values for programs, and \`cause\` is the
error underneath, if there is one. \`error instanceof VeneError\` holds across copies of the package.

| code | what it means |
|---|---|
`;

export const codes = Object.keys(errorCodes) as ErrorCode[];

export function renderErrorDocs(): string {
  return `${introduction}${codes.map((code) => `| \`${code}\` | ${errorCodes[code]} |`).join("\n")}\n`;
}
