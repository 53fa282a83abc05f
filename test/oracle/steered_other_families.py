"""Families that are not causal decoders with attention, and layouts that the fixtures lack, by transformers: numbers for
test/runtime/mamba.test.ts, test/runtime/esm.test.ts and test/arch/plain-families.test.ts.

python steered_other_families.py ../fixtures/models

Writes mamba/steered.safetensors (as steered_families.py does, with the padded batch itself and its plain tokens, which mamba's
reference lacks), esm/steered.safetensors (a padded batch, plain and steered; token dropout), and two checkpoints of their own:
opt_projected (OPT-350M's layout: narrow embeddings, LayerNorm after) and esm_absolute (ESM-1b's: learned positions, LayerNorm
before, token dropout), each with expected.safetensors.
"""
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from safetensors.torch import load_file, save_file

ROOT = sys.argv[1]

def load(cls, family, **fields):
    folder = os.path.join(ROOT, family)
    model = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **fields).eval()
    return model, load_file(os.path.join(folder, "reference.safetensors"))["input_ids"]

def write(family, name, tensors):
    save_file({key: value.contiguous() for key, value in tensors.items()}, os.path.join(ROOT, family, name))
    print(family, {key: tuple(value.shape) for key, value in tensors.items()})

def left_padded(ids, pad, by):
    """Row 1 loses its first `by` tokens to padding."""
    padded, mask = ids.clone(), torch.ones_like(ids)
    padded[1, :by], mask[1, :by] = pad, 0
    return padded, mask

def adding(layer, vector):
    add = lambda module, inputs, output: (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector
    return layer.register_forward_hook(add)

def vector_for(model, ids, layer):
    size = model(ids, output_hidden_states=True).hidden_states[layer + 1].std()
    return torch.randn(model.config.hidden_size, generator=torch.Generator().manual_seed(7)) * 2 * size

def greedy(model, ids, mask):
    return model.generate(ids, attention_mask=mask, max_new_tokens=12, do_sample=False)

def mamba():
    model, ids = load(transformers.MambaForCausalLM, "mamba")
    model.generation_config.eos_token_id = None
    padded, mask = left_padded(ids, 0, 4)
    vector = vector_for(model, ids, 1)
    plain = greedy(model, padded, mask)
    adding(model.backbone.layers[1], vector)
    first = ids[:1]
    write("mamba", "steered.safetensors", {
        "layer": torch.tensor([1]), "vector": vector, "logits": model(ids).logits,
        "greedy": greedy(model, first, torch.ones_like(first)),
        "padded.input_ids": padded, "padded.attention_mask": mask,
        "padded.plain": plain, "padded.greedy": greedy(model, padded, mask),
    })

def esm():
    model, ids = load(transformers.EsmForMaskedLM, "esm")
    padded, mask = left_padded(ids, 1, 4)
    right = padded.clone(); right[1] = torch.cat([padded[1, 4:], padded[1, :4]])
    right_mask = mask.clone(); right_mask[1] = torch.cat([mask[1, 4:], mask[1, :4]])
    vector = vector_for(model, ids, 1)
    plain = model(padded, attention_mask=mask).logits
    plain_right = model(right, attention_mask=right_mask).logits
    attention = model(padded, attention_mask=mask, output_attentions=True).attentions[1]
    adding(model.esm.encoder.layer[1], vector)
    masked = ids.clone(); masked[0, 2] = masked[0, 5] = masked[1, 3] = 32
    dropping, _ = load(transformers.EsmForMaskedLM, "esm", token_dropout=True)
    write("esm", "steered.safetensors", {
        "layer": torch.tensor([1]), "vector": vector, "logits": model(ids).logits,
        "padded.input_ids": padded, "padded.attention_mask": mask, "padded.logits": plain, "padded.attention.1": attention,
        "right.input_ids": right, "right.attention_mask": right_mask, "right.logits": plain_right,
        "dropout.input_ids": masked, "dropout.logits": dropping(masked, attention_mask=torch.ones_like(masked)).logits,
    })

def opt_projected():
    torch.manual_seed(11)
    config = transformers.OPTConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, ffn_dim=56, num_attention_heads=4,
        max_position_embeddings=64, word_embed_proj_dim=16, do_layer_norm_before=False, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model = randomised(transformers.OPTForCausalLM(config))
    model.save_pretrained(os.path.join(ROOT, "opt_projected"))
    ids = torch.randint(3, 96, (2, 10))
    write("opt_projected", "expected.safetensors", {"input_ids": ids, "logits": model(ids).logits})

def esm_absolute():
    torch.manual_seed(12)
    config = transformers.EsmConfig(vocab_size=33, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=56,
        max_position_embeddings=40, position_embedding_type="absolute", emb_layer_norm_before=True, token_dropout=True,
        pad_token_id=1, mask_token_id=32)
    model = randomised(transformers.EsmForMaskedLM(config))
    model.save_pretrained(os.path.join(ROOT, "esm_absolute"))
    ids = torch.randint(4, 31, (2, 10)); ids[0, 3] = 32
    padded, mask = left_padded(ids, 1, 3)
    write("esm_absolute", "expected.safetensors", {"input_ids": padded, "attention_mask": mask,
        "logits": model(padded, attention_mask=mask).logits})

def randomised(model):
    """Biases and LayerNorms away from 0 and 1, so that leaving one out shows."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.15 * torch.randn_like(parameter)
    return model.eval()

with torch.no_grad():
    for make in (mamba, esm, opt_projected, esm_absolute):
        make()
