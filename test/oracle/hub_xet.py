"""Python's huggingface_hub against a running `vene hub serve`: uploads, lists, downloads and deletes, and compares every byte.

python hub_xet.py ENDPOINT TOKEN NAMESPACE
HF_HUB_DISABLE_XET=1 for the LFS way, otherwise hf_xet is used (huggingface_hub >= 1.20). HF_HOME is left as it is: what hf_xet
remembers there about a server that was wiped since must do no harm, so run it twice with a fresh server and the same HF_HOME.
"""
import hashlib, os, sys, tempfile, time

os.environ["HF_ENDPOINT"], os.environ["HF_TOKEN"], namespace = sys.argv[1:4]
import huggingface_hub, numpy
from huggingface_hub import CommitOperationAdd, HfApi

random = numpy.random.default_rng(5)
words = numpy.array(b"the of and to in is was he for it with as his on be at by had not are but from or have".split(), dtype=object)
contents = {
    "random": lambda size: random.bytes(size),
    "normal": lambda size: random.standard_normal(size // 4, dtype=numpy.float32).tobytes(),
    "text": lambda size: b" ".join(random.choice(words, size // 3))[:size],
}
sizes = {"1kB": 1000, "12MB": 12_000_000, "60MB": 60_000_000}

api = HfApi()
repo = f"{namespace}/xet-{int(time.time() * 1000)}"
api.create_repo(repo, private=True)
digests = {}
started = time.time()
for size_name, size in sizes.items():
    operations = []
    for kind, make in contents.items():
        data = make(size)
        path = f"{size_name}/{kind}.bin"
        digests[path] = hashlib.sha256(data).hexdigest()
        operations.append(CommitOperationAdd(path, data))
    api.create_commit(repo, operations, commit_message=size_name)
uploaded = time.time()

listed = {entry.path: entry.lfs.sha256 for entry in api.list_repo_tree(repo, recursive=True) if getattr(entry, "lfs", None)}
assert listed == digests, (listed, digests)
with tempfile.TemporaryDirectory() as cache:
    folder = api.snapshot_download(repo, cache_dir=cache)
    for path, digest in digests.items():
        with open(os.path.join(folder, path), "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == digest, path
downloaded = time.time()

head = api.repo_info(repo).sha
again = api.create_commit(repo, [CommitOperationAdd("copy of 60MB.bin", data)], commit_message="known bytes under another name")
assert again.oid != head
api.delete_file("1kB/text.bin", repo)
assert not api.file_exists(repo, "1kB/text.bin")
api.delete_repo(repo)
assert not api.repo_exists(repo)
way = "LFS" if os.environ.get("HF_HUB_DISABLE_XET") else "xet"
mb = sum(sizes.values()) * len(contents) / 1e6
print(f"ok: huggingface_hub {huggingface_hub.__version__} by {way}: {mb:.0f} MB up in {uploaded - started:.1f} s, down in {downloaded - uploaded:.1f} s")
