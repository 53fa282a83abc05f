"""torch's orthogonal parametrisation on bases that are not I: what test/artefact/orthogonal.test.ts expects.

    python test/oracle/orthogonal.py test/fixtures/orthogonal/torch.safetensors

Needs torch and safetensors; not part of `npm test`. Per case: original (X), base (B) and weight (W), as torch computed it in float64.
"""
import sys

import torch
from safetensors.torch import save_file

CASES = {  # rows, columns, what is done to X = -I
    "tall": (12, 3, "noise"),
    "tall_one": (7, 1, "noise"),
    "tall_plus": (10, 4, "signs"),
    "tall_decayed": (10, 4, "decay"),
    "nearly_square": (9, 8, "noise"),
    "square": (8, 8, "noise"),
    "square_far": (6, 6, "far"),
    "one": (1, 1, "noise"),
    "untrained": (11, 5, "nothing"),
    "untrained_square": (5, 5, "nothing"),
}


def made(rows, columns, change):
    layer = torch.nn.Linear(rows, columns, bias=False).to(torch.float64)
    layer.weight = torch.nn.Parameter(torch.nn.init.orthogonal_(torch.empty(rows, columns, dtype=torch.float64)))
    layer = torch.nn.utils.parametrizations.orthogonal(layer)
    x = layer.parametrizations.weight.original
    with torch.no_grad():
        if change != "nothing":
            x += torch.randn(rows, columns) * (4 if change == "far" else 0.3)
        if change in ("noise", "signs"):
            x.diagonal().copy_(-torch.ones(columns))
        if change == "signs":
            x.diagonal()[::2] = 1.7
        if change == "decay":
            x.diagonal().copy_(torch.tensor([-1.0, -0.99, -1.0, -2.5]))
        # What is stored is float32, as pyvene stores it; W is computed from just that.
        x.copy_(x.float())
        base = layer.parametrizations.weight[0].base
        base.copy_(base.float())
        return {"original": x.float(), "base": base.float(), "weight": layer.weight.detach().clone()}


torch.manual_seed(0)
tensors = {
    f"{name}.{part}": value.contiguous()
    for name, case in CASES.items()
    for part, value in made(*case).items()
}
save_file(tensors, sys.argv[1])
