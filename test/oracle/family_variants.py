"""What the fixtures' configs do not use: the same weights under other configs, by transformers, for test/arch/families.test.ts.

python family_variants.py ../fixtures/models

Reads <family>/variants.json, { name: config fields }, and writes <family>/variants.safetensors: per name the logits of the
reference's input_ids [rows, columns, vocabulary].
"""
import json, os, sys, tempfile
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from safetensors.torch import load_file, save_file

for family in sorted(os.listdir(sys.argv[1])):
    folder = os.path.join(sys.argv[1], family)
    if not os.path.exists(os.path.join(folder, "variants.json")):
        continue
    ids = load_file(os.path.join(folder, "reference.safetensors"))["input_ids"]
    variants = json.load(open(os.path.join(folder, "variants.json")))
    config = json.load(open(os.path.join(folder, "config.json")))
    out = {}
    for name, fields in variants.items():
        with tempfile.TemporaryDirectory() as changed:
            os.symlink(os.path.abspath(os.path.join(folder, "model.safetensors")), os.path.join(changed, "model.safetensors"))
            json.dump({**config, **fields}, open(os.path.join(changed, "config.json"), "w"))
            model = transformers.AutoModelForCausalLM.from_pretrained(changed, dtype=torch.float32, attn_implementation="eager").eval()
            with torch.no_grad():
                out[name] = model(ids).logits.contiguous()
            print(family, name, float(out[name].abs().max()))
    save_file(out, os.path.join(folder, "variants.safetensors"))
