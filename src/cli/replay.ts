/** How recorded answers and those given now compare, for people. */
import type { ReplayedAnswer, RunReport } from "../index.ts";
import { renderTable } from "./table.ts";

const MAX_PROMPT = 48;

export function replayTable({ answers }: RunReport): string {
  const columns = [
    { title: "prompt" },
    { title: "answer" },
    { title: "tokens", align: "right" },
    { title: "" },
  ] as const;
  const rows = answers.map((answer) => [
    promptOf(answer),
    answer.side,
    String(answer.expected.length),
    answer.differsAt === undefined ? "the same" : `differs at token ${answer.differsAt}`,
  ]);
  return renderTable(columns, rows);
}

/** The error for a report with differences. */
export async function replayFailure({ name, answers, sameBase }: RunReport): Promise<Error> {
  const { VeneError } = await import("../index.ts");
  const different = answers.filter(({ differsAt }) => differsAt !== undefined);
  const [first] = different;
  const where = `the ${first!.side} answer to ${JSON.stringify(promptOf(first!))} at token ${first!.differsAt}`;
  const counted = `${different.length} of ${answers.length} answers are not the recorded ones`;
  return new VeneError("registry-integrity", `${name}: ${counted}, first ${where}`, {
    hint: sameBase
      ? "this is the recorded model: its files, onnxruntime or the processor compute something else"
      : "this model has other weights or another precision than the one it was recorded with",
    details: { answers, sameBase },
  });
}

function promptOf({ prompt }: ReplayedAnswer): string {
  const text = typeof prompt === "string" ? prompt : prompt.map(({ content }) => content).join(" / ");
  return text.length > MAX_PROMPT ? `${text.slice(0, MAX_PROMPT - 3)}...` : text;
}
