"""Opens with pyvene itself what vene wrote, runs it, and compares with what pyvene computed when the fixtures were made.

    npm run build && node test/oracle/write-for-pyvene.js OUT
    PYTHONPATH=<pyvene's source> python test/oracle/load_in_pyvene.py OUT MODELS

MODELS holds the tiny checkpoints gpt2/ and llama/. Needs torch, transformers, safetensors and pyvene; not part of `npm test`.
"""
import json
import logging
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import pyvene as pv  # noqa: E402

CASES = Path(__file__).parent.parent / "fixtures" / "cases"


def locations(case):
    given = case["unit_locations"]
    if given is None:
        return None
    return {side: tuple(value) if "->" in side and isinstance(value, list) else value for side, value in given.items()}


def check(folder, case_folder, model):
    case = json.loads((case_folder / "case.json").read_text())
    truth = load_file(case_folder / "tensors.safetensors")
    loaded = pv.IntervenableModel.load(str(folder), model)
    assert list(loaded.interventions) == case["keys"], list(loaded.interventions)
    for index, intervention in enumerate(loaded.interventions.values()):
        expected = truth.get(f"param.{index}.source_representation")
        if expected is not None:
            assert torch.equal(intervention.source_representation, expected)
    inputs = {"input_ids": truth["base"], "attention_mask": torch.ones_like(truth["base"])}
    names = [None if i is None else f"source.{i}" for i in case["sources"]]
    sources = [None if name is None else {"input_ids": truth[name]} for name in names] or None
    with torch.no_grad():
        if case["generate"] is not None:
            options = dict(case["generate"])
            found = loaded.generate(
                inputs, sources=sources, unit_locations=locations(case), do_sample=False, pad_token_id=0, **options
            )[1]
            assert torch.equal(found, truth["generated"]), "generated tokens differ"
            return 0.0
        out = loaded(inputs, sources, unit_locations=locations(case), subspaces=case["subspaces"])
        if isinstance(out[0], tuple):  # base output and what was collected
            collected, found = out[0][1], (out[1] or out[0][0]).logits
            for index, value in enumerate(collected):
                assert torch.allclose(value, truth[f"collected.{index}"], atol=1e-5), "collected values differ"
        else:
            found = out[1].logits
    return (found - truth["logits"]).abs().max().item()


def main(out, models):
    failures, worst, count = [], 0.0, 0
    for family in ("gpt2", "llama"):
        model = AutoModelForCausalLM.from_pretrained(Path(models) / family, dtype=torch.float32).eval()
        for variant in ("original", "anew"):
            for folder in sorted((Path(out) / variant / family).iterdir()):
                count += 1
                try:
                    difference = check(folder, CASES / family / folder.name, model)
                    worst = max(worst, difference)
                    if difference > 1e-4:
                        failures.append(f"{folder}: logits differ by {difference}")
                except Exception as problem:  # every failure is worth one line
                    failures.append(f"{folder}: {type(problem).__name__}: {problem}")
    print(f"pyvene {getattr(pv, '__file__', '')}: {count - len(failures)} of {count} folders agree, worst logit difference {worst}")
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
