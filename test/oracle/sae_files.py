"""Tiny sparse autoencoders as SAELens and Gemma Scope share them, and what SAELens computes with them: numbers for
test/artefact/import-sae.test.ts.

python sae_files.py ../fixtures

Writes sae/<name>/{cfg.json, sae_weights.safetensors} or params.npz, and expected.safetensors: x [5, 32], latents and decoded. The
configs are of all three generations; SAELens 6.54 itself reads them (SAE.load_from_disk). Gemma Scope's is computed as its
tutorial does, with numpy. Where TransformerLens centres the residual stream, x is what the untouched model has there, and SAELens is
given x less its mean.
"""
import json, os, sys
import numpy as np
import torch
from safetensors.torch import save_file
from sae_lens import SAE

ROOT = os.path.join(sys.argv[1], "sae")
D, F = 32, 48
oldest = dict(hook_point="blocks.2.hook_resid_pre", hook_point_layer=2, model_name="gpt2-small", d_in=D, d_sae=F, dtype="torch.float32",
              device="cpu", expansion_factor=1.5, l1_coefficient=0.001)
flat = dict(architecture="jumprelu", d_in=D, d_sae=F, dtype="float32", device="cpu", model_name="google/gemma-2-2b",
            hook_name="blocks.1.hook_resid_post", hook_layer=1, hook_head_index=None, activation_fn_str="relu", activation_fn_kwargs={},
            apply_b_dec_to_input=True, normalize_activations="none", prepend_bos=True, finetuning_scaling_factor=False,
            model_from_pretrained_kwargs={"center_writing_weights": False}, sae_lens_training_version="4.0.0")
nested = dict(architecture="standard", d_in=D, d_sae=F, dtype="float32", device="cpu", apply_b_dec_to_input=True, normalize_activations="none",
              reshape_activations="none", metadata=dict(sae_lens_version="6.54.12", model_name="meta-llama/tiny",
              model_class_name="HookedTransformer", hook_name="blocks.3.hook_mlp_out", hook_head_index=None, prepend_bos=True,
              context_size=64, model_from_pretrained_kwargs={}))
configs = {
    # Generation 1: no architecture; TransformerLens had centred GPT-2's residual stream.
    "oldest-centred": (oldest, False, True),
    # Generation 2: the bias is taken from the input, and there is a scaling factor of nothing but ones.
    "flat-jumprelu": (flat, True, False),
    # Generation 3: what pyvene calls an autoencoder.
    "nested-standard": (nested, False, False),
    "nested-no-bias": ({**nested, "apply_b_dec_to_input": False}, False, False),
}

def weights(jumps, seed):
    g = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=g)
    found = {"W_enc": normal(D, F) / 4, "W_dec": normal(F, D) / 4, "b_enc": normal(F) / 4, "b_dec": normal(D) / 2}
    if jumps: found["threshold"] = normal(F).abs() / 2
    return found, normal(5, D) + 0.7

for seed, (name, (config, jumps, centred)) in enumerate(configs.items()):
    folder = os.path.join(ROOT, name); os.makedirs(folder, exist_ok=True)
    found, x = weights(jumps, seed)
    json.dump(config, open(os.path.join(folder, "cfg.json"), "w"), indent=2)
    extra = {"scaling_factor": torch.ones(F)} if name.startswith("flat") else {}
    save_file({**found, **extra}, os.path.join(folder, "sae_weights.safetensors"))
    sae = SAE.load_from_disk(folder)
    seen = x - x.mean(-1, keepdim=True) if centred else x
    with torch.no_grad(): latents = sae.encode(seen); decoded = sae.decode(latents)
    save_file({"x": x, "latents": latents, "decoded": decoded}, os.path.join(folder, "expected.safetensors"))
    print(name, type(sae).__name__, "active", float((latents > 0).float().mean()))

folder = os.path.join(ROOT, "gemma-scope"); os.makedirs(folder, exist_ok=True)
found, x = weights(True, 9)
p = {name: tensor.numpy() for name, tensor in found.items()}
np.savez(os.path.join(folder, "params.npz"), **p)
pre = x.numpy() @ p["W_enc"] + p["b_enc"]
latents = (pre > p["threshold"]) * np.maximum(pre, 0)
save_file({"x": x, "latents": torch.tensor(latents), "decoded": torch.tensor(latents @ p["W_dec"] + p["b_dec"])},
          os.path.join(folder, "expected.safetensors"))
print("gemma-scope active", (latents > 0).mean())

# Single arrays, for test/formats/npy.test.ts: what numpy writes of each type and of three versions of the format.
folder = os.path.join(sys.argv[1], "npy"); os.makedirs(folder, exist_ok=True)
values = np.array([[0, 1, 2], [3, 5, 250]])
for code in ["<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1"]:
    np.save(os.path.join(folder, code.strip("<|") + ".npy"), values.astype(code))
np.save(os.path.join(folder, "scalar.npy"), np.float32(2.5))
np.save(os.path.join(folder, "vector.npy"), np.arange(4, dtype="<f4"))
np.save(os.path.join(folder, "fortran.npy"), np.asfortranarray(values.astype("<f4")))
np.save(os.path.join(folder, "big-endian.npy"), values.astype(">f4"))
np.save(os.path.join(folder, "objects.npy"), np.array([{}, None]), allow_pickle=True)
for version in [(2, 0), (3, 0)]:
    with open(os.path.join(folder, f"version-{version[0]}.npy"), "wb") as f: np.lib.format.write_array(f, values.astype("<f4"), version)
np.savez_compressed(os.path.join(folder, "compressed.npz"), a=values)
