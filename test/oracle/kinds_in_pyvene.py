"""Every kind that pyvene can load: vene wrote the folder, pyvene.IntervenableModel.load opens and runs it, the logits are compared.

    npm run build && node test/oracle/write-kinds.mjs OUT
    PYTHONPATH=<pyvene's source>:<pyreft's> python test/oracle/kinds_in_pyvene.py OUT MODELS > test/oracle/kinds_in_pyvene.txt

MODELS holds the tiny checkpoints gpt2/ and llama/. Expected are the logits of the conformance case the folder came from, and for
pyreft's kinds, which have no case, those of the formula written out here in torch. Needs torch, transformers, safetensors, pyvene,
and pyreft 0.1.0 (its module pyreft/interventions.py is enough); not part of `npm test`.
"""
import importlib.util
import json
import logging
import sys
import types
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import pyvene as pv  # noqa: E402

CASES = Path(__file__).parent.parent / "fixtures" / "cases"


def import_pyreft():
    """pyreft/interventions.py without the rest of pyreft, which wants many more packages."""
    for place in sys.path:
        path = Path(place) / "pyreft" / "interventions.py"
        if path.exists():
            package = types.ModuleType("pyreft")
            package.__path__ = [str(path.parent)]
            sys.modules["pyreft"] = package
            spec = importlib.util.spec_from_file_location("pyreft.interventions", path)
            module = importlib.util.module_from_spec(spec)
            sys.modules["pyreft.interventions"] = module
            spec.loader.exec_module(module)
            return True
    return False


FORMULAS = {  # h [.., d], R [d, r], W [r, d], b [r]
    "loreft": lambda h, R, W, b: h + (h @ W.T + b - h @ R) @ R.T,
    "consreft": lambda h, R, W, b: h + (b - h @ R) @ R.T,
    "lobireft": lambda h, R, W, b: h + b @ R.T,
    "direft": lambda h, R, W, b: h + (h @ W.T + b) @ R.T,
}


def locations(case):
    given = case["unit_locations"]
    if given is None:
        return None
    return {side: tuple(value) if "->" in side and isinstance(value, list) else value for side, value in given.items()}


def run_case(loaded, case, truth):
    inputs = {"input_ids": truth["base"], "attention_mask": torch.ones_like(truth["base"])}
    names = [None if i is None else f"source.{i}" for i in case["sources"]]
    sources = [None if name is None else {"input_ids": truth[name]} for name in names] or None
    with torch.no_grad():
        out = loaded(inputs, sources, unit_locations=locations(case), subspaces=case["subspaces"])
    if not isinstance(out[0], tuple):
        return out[1].logits
    for index, value in enumerate(out[0][1]):
        assert torch.allclose(value, truth[f"collected.{index}"], atol=1e-5), "collected values differ"
    return (out[1] or out[0][0]).logits


def check_case(folder, name, family, model):
    case_folder = CASES / family / name
    case = json.loads((case_folder / "case.json").read_text())
    truth = load_file(case_folder / "tensors.safetensors")
    found = run_case(pv.IntervenableModel.load(str(folder), model), case, truth)
    expected = truth["logits"]
    if folder.name == "two-latents":  # pyvene's own save, told to exchange these two
        own = pv.IntervenableModel.load(str(case_folder / "saved"), model)
        for intervention in own.interventions.values():
            intervention.set_interchange_dim([1, 40])
        expected = run_case(own, case, truth)
    return (found - expected).abs().max().item()


def check_formula(folder, kind, family, model):
    tensors = {name.split(".", 1)[1]: value.float() for name, value in load_file(folder / "intervention.safetensors").items()}
    truth = load_file(CASES / family / "vanilla_block_output" / "tensors.safetensors")
    loaded = pv.IntervenableModel.load(str(folder), model)
    for intervention in loaded.interventions.values():
        assert torch.equal(intervention.rotate_layer.weight, tensors["rotation"]), "the rotation lost bits"
        if kind == "loreft":  # pyreft makes it bfloat16, and then does not run it on a float32 model
            intervention.learned_source.float()
    places = [2, 5]
    inputs = {"input_ids": truth["base"]}
    block = (model.transformer.h if family == "gpt2" else model.model.layers)[2]

    def edit(module, args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        R, W, b = tensors["rotation"], tensors.get("weight"), tensors["bias"]
        h = hidden[:, places]
        if kind == "direft":  # its linear layer runs in bfloat16
            source = torch.nn.functional.linear(h.bfloat16(), W.bfloat16(), b.bfloat16()).float()
            hidden[:, places] = h + source @ R.T
        else:
            hidden[:, places] = FORMULAS[kind](h, R, W, b)

    with torch.no_grad():
        everywhere = [[places] * len(truth["base"])]
        found = loaded(inputs, unit_locations={"sources->base": (None, everywhere)})[1].logits
        hook = block.register_forward_hook(edit)
        expected = model(**inputs).logits
        hook.remove()
        plain = model(**inputs).logits
    assert (plain - expected).abs().max() > 1e-3, "the intervention changes nothing"
    return (found - expected).abs().max().item()


def main(out, models):
    has_pyreft = import_pyreft()
    rows, failed = {}, 0
    for family in ("gpt2", "llama"):
        model = AutoModelForCausalLM.from_pretrained(Path(models) / family, dtype=torch.float32).eval()
        for folder in sorted((Path(out) / family).glob("*/*/*")):
            _, kind, name, variant = folder.parts[-4:]
            counts = rows.setdefault((kind, variant), {"folders": 0, "agree": 0, "worst": 0.0, "notes": []})
            counts["folders"] += 1
            if not (folder / "config.json").exists():
                counts["notes"].append("nothing written for pyvene")
                continue
            try:
                check = check_formula(folder, kind, family, model) if name == "random" else check_case(folder, name, family, model)
                counts["worst"] = max(counts["worst"], check)
                if check < 1e-4:
                    counts["agree"] += 1
                else:
                    counts["notes"].append(f"{family} {name}: {check:.3g}")
            except Exception as problem:  # every failure is worth one line
                counts["notes"].append(f"{family} {name}: {type(problem).__name__}: {str(problem)[:120]}")
    print(f"pyvene main (0.1.8+), pyreft {'0.1.0' if has_pyreft else 'absent'}, torch {torch.__version__.split('+')[0]}")
    print(f"{'kind':28}{'config':12}{'folders':>8}{'agree':>7}{'worst logit difference':>24}  notes")
    for (kind, variant), counts in sorted(rows.items()):
        failed += counts["agree"] < counts["folders"] and "nothing written for pyvene" not in counts["notes"]
        notes = "; ".join(sorted(set(counts["notes"])))
        print(f"{kind:28}{variant:12}{counts['folders']:8}{counts['agree']:7}{counts['worst']:24.3g}  {notes}".rstrip())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
