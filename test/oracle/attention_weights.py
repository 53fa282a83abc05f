"""Attention weights of the tiny fixture models by transformers (eager), the numbers of test/runtime/attention-weights.test.ts.

python attention_weights.py ../fixtures/models ../fixtures/attention
"""
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from safetensors.torch import load_file, save_file

for family in ["gemma2", "gpt2", "gpt_neo", "gpt_neox", "llama", "llama3_rope", "mistral", "opt", "phi", "phi3", "qwen3"]:
    folder = os.path.join(sys.argv[1], family)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = load_file(os.path.join(folder, "reference.safetensors"))["input_ids"]
    with torch.no_grad():
        attentions = model(ids, output_attentions=True).attentions
    save_file({f"layers.{i}.attention_weight": a.contiguous() for i, a in enumerate(attentions)}, os.path.join(sys.argv[2], f"{family}.safetensors"))
