"""One cache, two readers: what vene pulls Python finds without a network, and the other way round. Needs dist (npm run build).

python hub_cache.py ../../examples/truthful-tiny/honest
"""
import json, os, shutil, subprocess, sys, tempfile
from pathlib import Path

scratch = Path(tempfile.mkdtemp(prefix="vene-oracle-"))
main = Path(__file__).parent.parent.parent / "dist/cli/main.js"
artefact = Path(sys.argv[1])
for name in [name for name in os.environ if name.startswith("HF_")]:
    del os.environ[name]
os.environ["HF_HOME"] = str(scratch / "home")
os.environ["HF_TOKEN"] = "hf_" + "0" * 34

serve = ["node", main, "hub", "serve", "--dir", scratch / "hub", "--port", "0", "--token", os.environ["HF_TOKEN"], "--json"]
server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
try:
    os.environ["HF_ENDPOINT"] = json.loads(server.stdout.readline())["url"].rstrip("/")
    import huggingface_hub
    from huggingface_hub import HfApi, hf_hub_download, scan_cache_dir, snapshot_download

    def vene(*words, cache, **env):
        run = subprocess.run(["node", main, "pull", *words, "--json"], capture_output=True, text=True,
                             env={**os.environ, "HF_HUB_CACHE": str(cache), **env})
        assert run.returncode == 0, run.stdout + run.stderr
        return json.loads(run.stdout)

    api, repo = HfApi(), "lab/honest"
    api.create_repo(repo)
    commit = api.upload_folder(repo_id=repo, folder_path=artefact).oid
    api.create_tag(repo, tag="v1")
    print("huggingface_hub", huggingface_hub.__version__, "commit", commit)

    ours = scratch / "ours"
    for revision in ["main", "v1", commit]:
        pulled = vene(f"{repo}@{revision}", cache=ours)
        assert pulled["commit"] == commit, pulled
        paths = [file["path"] for file in pulled["files"]]
        folder = snapshot_download(repo, revision=revision, cache_dir=ours, local_files_only=True, allow_patterns=paths)
        assert Path(folder).samefile(pulled["folder"]), (folder, pulled["folder"])
        for path in paths:
            found = hf_hub_download(repo, path, revision=revision, cache_dir=ours, local_files_only=True)
            assert Path(found).read_bytes() == (artefact / path).read_bytes(), path
        print("Python reads vene's cache by", revision, len(paths), "files")
    scan = scan_cache_dir(ours)
    assert not scan.warnings, scan.warnings
    [cached] = scan.repos
    [cached_revision] = cached.revisions
    print("scan_cache_dir:", cached.repo_id, sorted(cached_revision.refs), cached.nb_files, "files, no warnings")
    before = {path: path.stat().st_mtime_ns for path in ours.rglob("*") if path.is_file()}
    snapshot_download(repo, cache_dir=ours, allow_patterns=paths)
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    print("Python online on vene's cache changes", len(changed), "files")

    for shared in ["1", "0"]:
        theirs = scratch / f"theirs-{shared}"
        python = "import sys, huggingface_hub as h; h.snapshot_download(sys.argv[1], revision='v1', cache_dir=sys.argv[2])"
        subprocess.run([sys.executable, "-c", python, repo, theirs], check=True, capture_output=True,
                       env={**os.environ, "HF_HUB_DISABLE_SHARED_BLOBS": shared, "HF_HUB_CACHE": str(theirs)})
        pulled = vene(f"{repo}@v1", "--verify", cache=theirs, HF_HUB_OFFLINE="1")
        assert pulled["commit"] == commit and all(file["cached"] for file in pulled["files"]), pulled
        shutil.rmtree(theirs / "models--lab--honest/trees", ignore_errors=True)
        without = vene(f"{repo}@v1", "--verify", cache=theirs, HF_HUB_OFFLINE="1")
        assert sorted(file["path"] for file in without["files"]) == sorted(file["path"] for file in pulled["files"])
        print("vene reads Python's cache, HF_HUB_DISABLE_SHARED_BLOBS =", shared, len(pulled["files"]), "files")
finally:
    server.terminate()
    server.wait()
    shutil.rmtree(scratch, ignore_errors=True)
