"""Everything that Python programs do with a Hub, small, in a fixed order: what hub_record.mjs records.

python hub_session.py ENDPOINT TOKEN       (namespace "ada"; HF_HOME must be empty)
"""
import os, sys

os.environ["HF_ENDPOINT"], os.environ["HF_TOKEN"] = sys.argv[1:3]
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

api, repo = HfApi(), "ada/notes"


def fails(error, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error as thrown:
        return thrown
    raise AssertionError(f"{call} should fail with {error}")


assert api.whoami()["name"] == "ada"
fails(RepositoryNotFoundError, api.repo_info, repo)
api.create_repo(repo)
api.create_repo(repo, exist_ok=True)
card = b"---\nlicense: mit\ntags:\n- steering-vector\n---\n# Notes\n\n<script>alert(1)</script>\n"
api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=repo, commit_message="the card")
vector = bytes(i * i % 251 for i in range(3000))
files = [CommitOperationAdd("data/vector.bin", vector), CommitOperationAdd("data/odd name é.txt", b"text\n"), CommitOperationAdd("empty.txt", b"")]
second = api.create_commit(repo, files, commit_message="a vector", commit_description="and more")
api.upload_file(path_or_fileobj=vector, path_in_repo="data/vector.bin", repo_id=repo)

info = api.model_info(repo, files_metadata=True)
assert info.sha == second.oid and info.tags == ["steering-vector", "license:mit"], info
entries = {entry.path for entry in api.list_repo_tree(repo, recursive=True, expand=True)}
assert entries == {".gitattributes", "README.md", "data", "data/vector.bin", "data/odd name é.txt", "empty.txt"}, entries
assert api.get_paths_info(repo, ["data/vector.bin", "missing"])[0].lfs.size == 3000
api.create_tag(repo, tag="v1", tag_message="first")
fails(HfHubHTTPError, api.create_tag, repo, tag="v1")
api.create_branch(repo, branch="exp/1")
api.upload_file(path_or_fileobj=b"on a branch", path_in_repo="branch.txt", repo_id=repo, revision="exp/1")
pull = api.create_commit(repo, [CommitOperationAdd("pr.txt", b"in a pull request")], commit_message="a PR", create_pr=True)
assert pull.pr_revision == "refs/pr/1", pull
refs = api.list_repo_refs(repo, include_pull_requests=True)
assert sorted(branch.name for branch in refs.branches) == ["exp/1", "main"] and refs.tags[0].name == "v1" and len(refs.pull_requests) == 1
assert [commit.title for commit in api.list_repo_commits(repo)][:2] == ["a vector", "the card"]

for revision, path in [("main", "README.md"), ("v1", "data/vector.bin"), ("refs/pr/1", "pr.txt"), ("exp/1", "branch.txt"), (None, "empty.txt")]:
    api.hf_hub_download(repo, path, revision=revision)
with open(api.hf_hub_download(repo, "data/vector.bin"), "rb") as file:
    assert file.read() == vector
folder = api.snapshot_download(repo, max_workers=1)
assert os.path.exists(os.path.join(folder, "data/odd name é.txt"))
fails(EntryNotFoundError, api.hf_hub_download, repo, "missing.bin")
fails(RevisionNotFoundError, api.hf_hub_download, repo, "README.md", revision="missing")
assert not api.file_exists(repo, "missing.bin")

stale = fails(HfHubHTTPError, api.create_commit, repo, [CommitOperationAdd("x", b"x")], commit_message="stale", parent_commit=pull.oid)
assert stale.response.status_code == 412
fails(EntryNotFoundError, api.delete_file, "missing", repo)
api.create_commit(repo, [CommitOperationDelete("data/", is_folder=True), CommitOperationAdd("new.txt", b"new")], commit_message="tidy", parent_commit=second.oid)
api.update_repo_settings(repo, private=True)
assert [model.id for model in api.list_models(author="ada")] == [repo]
api.delete_tag(repo, tag="v1")
api.delete_branch(repo, branch="exp/1")
api.delete_repo(repo)
assert not api.repo_exists(repo)
