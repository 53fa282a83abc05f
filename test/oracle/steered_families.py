"""Steered logits and greedy tokens of the tiny fixture models by transformers and a forward hook, for test/runtime/reference.test.ts.

python steered_families.py ../fixtures/models mistral qwen2 ...

A seeded vector is added to the output of a middle block at every position. Written to <family>/steered.safetensors: layer [1],
vector [hidden], logits [rows, columns, vocabulary] of the reference's input_ids, greedy [1, prompt + 12] of its first row, and
padded.greedy of its left-padded batch.
"""
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from safetensors.torch import load_file, save_file

BLOCKS = ["model.layers", "transformer.h", "gpt_neox.layers", "model.decoder.layers", "backbone.layers"]

def blocks(model):
    for path in BLOCKS:
        try:
            return model.get_submodule(path)
        except AttributeError:
            pass
    raise SystemExit(f"no blocks in {type(model).__name__}")

def adding(vector):
    def hook(module, inputs, output):
        if isinstance(output, tuple):
            return (output[0] + vector, *output[1:])
        return output + vector
    return hook

for family in sys.argv[2:]:
    folder = os.path.join(sys.argv[1], family)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model.generation_config.eos_token_id = None
    reference = load_file(os.path.join(folder, "reference.safetensors"))
    layers = blocks(model)
    layer = len(layers) // 2 - 1
    with torch.no_grad():
        plain = model(reference["input_ids"], output_hidden_states=True)
        size = plain.hidden_states[layer + 1].std()
        vector = torch.randn(model.config.hidden_size, generator=torch.Generator().manual_seed(7)) * 2 * size
        layers[layer].register_forward_hook(adding(vector))
        logits = model(reference["input_ids"]).logits
        assert (logits - plain.logits).abs().max() > 0.05 * (plain.logits.max() - plain.logits.min())
        generate = lambda ids, mask: model.generate(ids, attention_mask=mask, max_new_tokens=12, do_sample=False)
        first = reference["input_ids"][:1]
        save_file(
            {
                "layer": torch.tensor([layer]),
                "vector": vector,
                "logits": logits.contiguous(),
                "greedy": generate(first, torch.ones_like(first)).contiguous(),
                "padded.greedy": generate(reference["padded.input_ids"], reference["padded.attention_mask"]).contiguous(),
            },
            os.path.join(folder, "steered.safetensors"),
        )
    print(family, layer, tuple(logits.shape))
