"""The official Python client against `vene hub serve`, verb by verb.

    vene hub serve --dir /tmp/hub --tokens /tmp/tokens.json
    HF_ENDPOINT=http://127.0.0.1:7860 HF_TOKEN=hf_... HF_HOME=/tmp/hf python test/oracle/hub_server.py

Set HF_HUB_DISABLE_XET=1 for plain LFS uploads. HF_HOME must be a fresh folder. Prints "ok" with the client's version.
"""

import hashlib
import os
import pathlib
import random
import tempfile

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

api = HfApi()
user = api.whoami()["name"]
repo = f"{user}/oracle"


def fails(error, call, status=None):
    try:
        call()
    except error as caught:
        assert status is None or caught.response.status_code == status, caught
        return
    raise AssertionError(f"no {error.__name__}")


api.delete_repo(repo, missing_ok=True)
url = api.create_repo(repo)
assert api.create_repo(repo, exist_ok=True).repo_id == url.repo_id == repo
fails(HfHubHTTPError, lambda: api.create_repo(repo), 409)

rng = random.Random(3)
content = {
    "small.txt": rng.randbytes(1000),
    "sub/with space.txt": b"odd name",
    "empty.txt": b"",
    "zeros.safetensors": bytes(12_000_000),
    "big/model.safetensors": rng.randbytes(60_000_000),
}
with tempfile.TemporaryDirectory() as folder:
    for name, data in content.items():
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="everything")
    again = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="nothing new")
assert again.oid == commit.oid, "unchanged files were committed again"

files = {name for name in api.list_repo_files(repo) if name != ".gitattributes"}
assert files == set(content), files
for token_folder in ["cache", None]:
    kwargs = {} if token_folder else {"local_dir": tempfile.mkdtemp()}
    got = pathlib.Path(snapshot_download(repo, **kwargs))
    for name, data in content.items():
        assert (got / name).read_bytes() == data, name
assert pathlib.Path(snapshot_download(repo, local_files_only=True)).name == commit.oid

info = api.model_info(repo, files_metadata=True)
assert info.sha == commit.oid
sizes = {sibling.rfilename: sibling.size for sibling in info.siblings}
assert all(sizes[name] == len(data) for name, data in content.items())
big = next(sibling for sibling in info.siblings if sibling.rfilename == "big/model.safetensors")
assert big.lfs.sha256 == hashlib.sha256(content["big/model.safetensors"]).hexdigest()

entries = list(api.list_repo_tree(repo, recursive=True, expand=True))
assert {entry.path for entry in entries} == {".gitattributes", "sub", "big", *content}
assert all(entry.last_commit is not None for entry in entries)
assert [entry.path for entry in api.get_paths_info(repo, ["sub", "nope", "small.txt"])] == ["sub", "small.txt"]
assert api.file_exists(repo, "small.txt") and not api.file_exists(repo, "nope.txt")
meta = huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repo, "small.txt"))
assert meta.commit_hash == commit.oid and meta.size == 1000

card = ModelCard("---\nlicense: mit\ntags: [steering]\nlibrary_name: vene\n---\n# a card\n")
api.upload_file(path_or_fileobj=str(card).encode(), path_in_repo="README.md", repo_id=repo)
assert ModelCard.load(repo).data.license == "mit"
assert [model.id for model in api.list_models(author=user, filter="steering", full=True)] == [repo]
bad = "---\nlicense: [\n---\n"
fails(
    (ValueError, HfHubHTTPError),
    lambda: api.upload_file(path_or_fileobj=bad.encode(), path_in_repo="README.md", repo_id=repo),
)

api.create_branch(repo, branch="exp/one", revision=commit.oid)
api.upload_file(path_or_fileobj=b"on a branch", path_in_repo="b.txt", repo_id=repo, revision="exp/one")
assert pathlib.Path(api.hf_hub_download(repo, "b.txt", revision="exp/one")).read_bytes() == b"on a branch"
api.create_branch(repo, branch="exp/one", exist_ok=True)
fails(HfHubHTTPError, lambda: api.create_branch(repo, branch="exp/one"), 409)
api.create_tag(repo, tag="v1.0", revision=commit.oid, tag_message="the first")
fails(HfHubHTTPError, lambda: api.create_tag(repo, tag="v1.0"), 409)
refs = api.list_repo_refs(repo, include_pull_requests=True)
assert {branch.name for branch in refs.branches} == {"main", "exp/one"}
assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1.0", commit.oid)]
assert refs.pull_requests == []
fails(EntryNotFoundError, lambda: api.hf_hub_download(repo, "README.md", revision="v1.0"))
fails(RevisionNotFoundError, lambda: api.hf_hub_download(repo, "small.txt", revision="v9"))
fails(RepositoryNotFoundError, lambda: api.hf_hub_download(f"{user}/none", "small.txt"))
fails(RepositoryNotFoundError, lambda: HfApi(token=False).model_info(f"{user}/none"))

proposed = api.create_commit(
    repo,
    [CommitOperationAdd("pr.txt", b"in a PR"), CommitOperationDelete("small.txt")],
    commit_message="a proposal",
    create_pr=True,
)
assert proposed.pr_num == 1 and proposed.pr_revision == "refs/pr/1"
assert pathlib.Path(api.hf_hub_download(repo, "pr.txt", revision="refs/pr/1")).read_bytes() == b"in a PR"
assert [(d.num, d.status) for d in api.get_repo_discussions(repo)] == [(1, "open")]
assert api.get_discussion_details(repo, 1).title == "a proposal"
api.merge_pull_request(repo, 1)
assert api.file_exists(repo, "pr.txt") and not api.file_exists(repo, "small.txt")
assert api.get_discussion_details(repo, 1).status == "merged"
draft = api.create_pull_request(repo, title="a draft")
assert draft.num == 2
api.change_discussion_status(repo, 2, "closed")

stale = commit.oid
fails(
    HfHubHTTPError,
    lambda: api.create_commit(repo, [CommitOperationAdd("x", b"x")], commit_message="x", parent_commit=stale),
    412,
)
api.delete_folder("sub", repo)
api.delete_file("pr.txt", repo)
fails(EntryNotFoundError, lambda: api.delete_file("pr.txt", repo))
assert api.list_repo_commits(repo)[0].title.startswith("Delete pr.txt")
api.delete_tag(repo, tag="v1.0")
api.delete_branch(repo, branch="exp/one")

api.update_repo_settings(repo, private=True)
fails(RepositoryNotFoundError, lambda: HfApi(token=False).model_info(repo))
assert api.model_info(repo).private is True
api.move_repo(repo, f"{repo}-moved")
assert api.repo_exists(f"{repo}-moved") and not api.repo_exists(repo)
api.create_repo(repo, repo_type="dataset")
api.upload_file(path_or_fileobj=b"1,2\n", path_in_repo="a.csv", repo_id=repo, repo_type="dataset")
assert [dataset.id for dataset in api.list_datasets(author=user)] == [repo]
api.delete_repo(repo, repo_type="dataset")
api.delete_repo(f"{repo}-moved")
fails(RepositoryNotFoundError, lambda: api.delete_repo(repo))
print("ok: huggingface_hub", huggingface_hub.__version__, "xet off" if os.environ.get("HF_HUB_DISABLE_XET") else "xet on")
