"""The torch side of the torch-file tests. Needs torch and safetensors; the tests themselves read only what this wrote.

    python torch_files.py write ../fixtures/torch            what torch.save makes, with its values as safetensors and JSON
    python torch_files.py check ../fixtures/torch/written    what vene wrote, read back by torch.load(weights_only=True)
"""
import collections
import json
import math
import os
import pathlib
import sys
import zipfile

import torch
from safetensors.torch import load_file, save_file

DTYPES = (
    "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool"
).split()


def every_dtype():
    made = {}
    for name in DTYPES:
        dtype = getattr(torch, name)
        values = torch.tensor([[0, 1, 2], [3, 100, 7]])
        if dtype.is_floating_point or name.startswith("int"):
            values[0, 1] = -5
        made[name] = values.to(dtype)
        made[name + ".scalar"] = torch.tensor(1).to(dtype)
    return made


def views():
    base = torch.arange(60, dtype=torch.float32).reshape(5, 12)
    big = torch.arange(4000, dtype=torch.int16)
    return {
        "whole": base,
        "transposed": base.t(),
        "columns": base[:, 3:9:2],
        "row": base[3],
        "element": base[4, 11],
        "expanded": torch.tensor([1.5, -2.5]).expand(3, 4, 2),
        "permuted": torch.arange(24, dtype=torch.float64).reshape(2, 3, 4).permute(2, 0, 1),
        "overlapping": torch.arange(6, dtype=torch.bfloat16).as_strided((3, 4), (1, 1)),
        "empty": torch.zeros(3, 0, 2),
        "empty_tail": base[5:, 1:],
        "slice_of_big": big[1000:1010],
        "other_slice_of_big": big[1005:1020:5],
        "size_one": base[2:3, 4:5].t(),
        "float8_column": torch.arange(12).reshape(4, 3).to(torch.float8_e5m2)[:, 1],
    }


def parameters():
    shared = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    tagged = torch.nn.Parameter(torch.tensor([[4.0], [5.0]], dtype=torch.bfloat16), requires_grad=False)
    tagged.note = "an attribute makes torch call _rebuild_parameter_with_state"
    return collections.OrderedDict(
        [("embed", shared), ("head", shared), ("tagged", tagged), ("detached", shared.detach()[1:])]
    )


def state_dict():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    return model.state_dict()


def nested():
    a = torch.tensor([1, 2, 3])
    return {
        "tensor": a,
        "again": a,
        "list": [a + 1, {"deep": (a + 2, [])}],
        "numbers": [0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**53 - 1, 0.5, -1e300, math.inf],
        "long": [2**70, -(2**70), 2**63],
        "words": ["", "é", "漢字", "😀", "a\nb"],
        "flags": [True, False, None],
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        7: "integer key",
        -3: {},
    }


def single():
    return {"": torch.tensor([9], dtype=torch.int64)}


CASES = {
    "dtypes": every_dtype,
    "views": views,
    "parameters": parameters,
    "state_dict": state_dict,
    "nested": nested,
    "single": single,
}


def flatten(value, path, tensors):
    """Plain JSON of `value`, tensors replaced by their path and collected."""
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach().contiguous().clone()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"dict": [[key, flatten(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [flatten(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]}
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return {"bigint": str(value)}
    if isinstance(value, float) and math.isinf(value):
        return {"infinity": True}
    return value


class Evil:
    def __reduce__(self):
        return os.system, ("echo owned",)


class Module(torch.nn.Module):
    def forward(self, x):
        return x + 1


def to_big_endian(source, target, width):
    """The same archive as a big-endian machine would write it; torch.load confirms it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("/byteorder"):
                content = b"big"
            elif "/data/" in entry.filename:
                content = b"".join(content[i : i + width][::-1] for i in range(0, len(content), width))
            new.writestr(zipfile.ZipInfo(entry.filename), content)
    assert_same(torch.load(source, weights_only=True), torch.load(target, weights_only=True))


def assert_same(a, b):
    assert list(a) == list(b), (list(a), list(b))
    for key in a:
        assert a[key].dtype == b[key].dtype and a[key].shape == b[key].shape, key
        assert torch.equal(bits(a[key]), bits(b[key])), key


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in CASES.items():
        value = make()
        torch.save(value, folder / f"{name}.pt")
        tensors = {}
        tree = flatten(value, "", tensors)
        save_file(tensors, folder / f"{name}.safetensors", metadata={"made by": "torch"})
        (folder / f"{name}.json").write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n")
    torch.save(torch.tensor([1.25, -2.0], dtype=torch.float32), folder / "bare.pt")
    torch.save({"a": torch.tensor([1.0, -2.5]), "b": torch.tensor([[3.0], [4.0]]).t()}, folder / "little.pt")
    to_big_endian(folder / "little.pt", folder / "big_endian.pt", 4)
    refused = folder / "refused"
    refused.mkdir(exist_ok=True)
    vector = {"a": torch.tensor([1.0])}
    torch.save(vector, refused / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(vector, refused / "protocol_4.pt", pickle_protocol=4)
    torch.save({"a": Evil()}, refused / "os_system.pt")
    torch.save(torch.tensor([1.0, 2.0]).numpy(), refused / "numpy.pt")
    torch.save({"a": torch.tensor([1 + 2j])}, refused / "complex.pt")
    torch.save(torch.tensor([1.0, 0.0]).to_sparse(), refused / "sparse.pt")
    torch.save(Module(), refused / "module.pt")
    torch.save(torch.tensor([1 + 2j]).conj().imag, refused / "negated.pt")
    torch.jit.script(Module()).save(str(refused / "torchscript.pt"))


def check(folder):
    for path in sorted(folder.glob("*.pt")):
        loaded = torch.load(path, weights_only=True)
        expected = load_file(path.with_suffix(".safetensors"))
        ordered = not path.stem.startswith("plain")
        assert type(loaded) is (collections.OrderedDict if ordered else dict), type(loaded)
        by_name = {str(key): value for key, value in loaded.items()}
        assert_same({key: by_name[key] for key in sorted(by_name)}, {key: expected[key] for key in sorted(expected)})
        for tensor in loaded.values():
            assert tensor.is_contiguous() and not tensor.requires_grad and tensor.device.type == "cpu"
        again = torch.load(path, weights_only=True, mmap=True)
        assert_same(loaded, again)
        print(f"{path.name}: {len(loaded)} tensors as expected, keys {list(loaded)[:3]}")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
