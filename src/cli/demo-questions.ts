/** The questions of the demo, and how an answer to one is scored. */
import { readFile } from "node:fs/promises";

export interface Question {
  readonly question: string;
  readonly true: string;
  readonly false: string;
}

/** The half of questions.json that the intervention was not fitted on. Throws `file-missing`, `json-invalid`. */
export async function readTestQuestions(path: string): Promise<readonly Question[]> {
  const { VeneError } = await import("../index.ts");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new VeneError("file-missing", `the demo's questions are not at ${path}`, {
      hint: "install vene again",
      details: { path },
      cause,
    });
  }
  const questions = testHalf(text);
  if (questions !== undefined) return questions;
  throw new VeneError("json-invalid", `${path} holds no list of questions called test`, { details: { path } });
}

function testHalf(text: string): readonly Question[] | undefined {
  try {
    const { test } = JSON.parse(text) as { readonly test?: unknown };
    return Array.isArray(test) && test.length > 0 && test.every(isQuestion) ? test : undefined;
  } catch {
    return undefined;
  }
}

function isQuestion(value: unknown): value is Question {
  const fields = (value ?? {}) as Record<string, unknown>;
  return ["question", "true", "false"].every((key) => typeof fields[key] === "string");
}

/** The prompt in the form the model was trained on: a speaker is asked. */
export function promptFor({ question }: Question, speaker: string): string {
  return `Q: ${question} ${speaker}:`;
}

/** The answer is what stands before the first full stop. */
export function answerIn(text: string): string {
  return text.trim().split(".")[0]!.trim();
}

/** Part of the answers that are the true ones. */
export function trueRate(questions: readonly Question[], answers: readonly string[]): number {
  return answers.filter((answer, i) => answer === questions[i]!.true).length / questions.length;
}
