"""Loads what `vene convert` wrote in the real pyvene and compares its greedy tokens with an expected.json.

python converted_in_pyvene.py MODEL_FOLDER CONVERTED_FOLDER EXPECTED_JSON
"""
import json, os, sys, warnings, logging

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
import torch, transformers, pyvene

model_folder, converted, expected = sys.argv[1:4]
tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
model = transformers.AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
steered = pyvene.IntervenableModel.load(converted, model)
wrong = 0
for index, run in enumerate(json.load(open(expected))["runs"]):
    row = run["rows"][0]
    inputs = {"input_ids": torch.tensor([row["prompt_tokens"]])}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    sources = None
    if "source" in run:
        ids = tokenizer(run["source"], return_tensors="pt")["input_ids"]
        sources = [{"input_ids": ids, "attention_mask": torch.ones_like(ids)}]
    locations = run["unit_locations"]
    if locations is not None:
        locations = {key: tuple(value) if isinstance(value, list) else value for key, value in locations.items()}
    _, generated = steered.generate(inputs, sources=sources, unit_locations=locations, intervene_on_prompt=run["intervene_on_prompt"],
                                    max_new_tokens=run["max_new_tokens"], do_sample=False)
    tokens = generated[0, len(row["prompt_tokens"]):].tolist()
    want = row["steered"]["tokens"]
    first = next((i for i, (a, b) in enumerate(zip(tokens, want)) if a != b), None)
    near_tie = first is not None and row["steered"]["margins"][first] < 0.005
    ok = (first is None and len(tokens) == len(want)) or near_tie
    wrong += not ok
    print(f"run {index}: {'ok' if first is None and ok else f'near tie at {first}' if ok else f'WRONG at {first}: {tokens}'}")
sys.exit(1 if wrong else 0)
