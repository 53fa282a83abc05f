"""LoRA adapters with random A and B on the tiny checkpoints, saved by PEFT, and what PEFT computes with them: numbers for
test/runtime/peft.test.ts.

python peft_adapters.py ../fixtures

Writes peft/<name>/{adapter_config.json, adapter_model.safetensors or .bin, expected.safetensors}; expected holds input_ids, logits,
and 12 greedy tokens after row 0. Run with peft 0.21.2, transformers 5.23, torch 2.15, on the CPU.
"""
import json, os, shutil, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

ROOT = sys.argv[1]

adapters = {
    # Every Linear layer, ranks and alphas by pattern.
    "llama-all": ("llama", True, dict(
        r=4, lora_alpha=8, target_modules="all-linear", rank_pattern={"k_proj": 2, "mlp.up_proj": 6},
        alpha_pattern={"^model.layers.1.self_attn.q_proj": 3, "down_proj|mlp.up_proj": 5})),
    # Rank-stabilised, two layers only, as torch.save writes it.
    "llama-rslora": ("llama", False, dict(
        r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"], use_rslora=True, layers_to_transform=[1, 3])),
    # Conv1D keeps its weight the other way round; A and B do not.
    "gpt2": ("gpt2", True, dict(
        r=4, lora_alpha=4, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
}

for name, (family, safe, options) in adapters.items():
    torch.manual_seed(17)
    source, folder = os.path.join(ROOT, "models", family), os.path.join(ROOT, "peft", name)
    load = lambda: transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    plain = load()
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **options)
    shutil.rmtree(folder, ignore_errors=True)
    adapted = get_peft_model(load(), config)
    adapted.save_pretrained(folder, safe_serialization=safe)
    # In place of the path of this machine: what a trainer would have recorded. True is what init_lora_weights usually is.
    path = os.path.join(folder, "adapter_config.json")
    recorded = json.load(open(path))
    recorded.update(base_model_name_or_path=f"vene-test/{family}", revision="0123abc", init_lora_weights=True)
    json.dump(recorded, open(path, "w"), indent=2, sort_keys=True)
    if os.path.exists(os.path.join(folder, "README.md")): os.remove(os.path.join(folder, "README.md"))
    # What is expected comes from the files.
    model = PeftModel.from_pretrained(load(), folder).eval()
    ids = load_file(os.path.join(source, "reference.safetensors"))["input_ids"]
    first = ids[:1]
    with torch.no_grad():
        logits = model(ids).logits
        greedy = model.generate(input_ids=first, attention_mask=torch.ones_like(first), max_new_tokens=12, do_sample=False, eos_token_id=None)
        before = plain.generate(input_ids=first, attention_mask=torch.ones_like(first), max_new_tokens=12, do_sample=False, eos_token_id=None)
    change = (logits - plain(ids).logits).abs().max() / (logits.max() - logits.min())
    scalings = sorted({module.scaling["default"] for module in model.modules() if hasattr(module, "lora_A")})
    print(name, "change", float(change), "tokens differ", not torch.equal(greedy, before), "scalings", scalings)
    save_file({"input_ids": ids, "logits": logits.contiguous(), "greedy": greedy[:, ids.shape[1]:].contiguous()},
              os.path.join(folder, "expected.safetensors"))
