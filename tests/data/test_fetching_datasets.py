"""Of a dataset on the hub only what is asked for is fetched; what a small hub in this process answers stands for it."""

import hashlib
import importlib
import io

import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest
from huggingface_hub.errors import HTTPError
from PIL import Image

from scumble.data.datasets.open import Request, open_dataset
from scumble.data.scan import ScanRule, scan_folder
from scumble.errors import DataError

CLIENT = importlib.import_module(HTTPError.__module__.partition(".")[0])
"""The library that this version of huggingface_hub fetches with."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "someone/dogs"


def table(*captions):
    stream, file = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    columns = {"image": [stream.getvalue()] * len(captions), "text": list(captions)}
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


FILES = {
    "README.md": b"---\nconfigs:\n- config_name: a\n  default: true\n  data_files: a/*.parquet\n"
    b"- config_name: b\n  data_files: b/*.parquet\n---\n",
    "a/0.parquet": table("a dog"),
    "a/1.parquet": table("a cat"),
    "b/0.parquet": table("a cow"),
    "film.mp4": b"large",
}


class Hub:
    """Answers as the hub does for one dataset, and remembers which files were fetched."""

    def __init__(self):
        self.fetched, self.failure = [], None

    def answer(self, request):
        if isinstance(self.failure, Exception):
            raise self.failure
        path = request.url.path
        if self.failure is not None or NAME not in path:
            return CLIENT.Response(self.failure or 404, request=request)
        if "/tree/" in path:
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in FILES.items()
            ]
            return CLIENT.Response(200, json=listed, request=request)
        if path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in FILES]
            return CLIENT.Response(200, json={"id": NAME, "sha": COMMIT, "siblings": siblings}, request=request)
        name = path.partition("/resolve/")[2].partition("/")[2]
        content = FILES[name]
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if request.method == "HEAD":
            return CLIENT.Response(200, headers={**headers, "Content-Length": str(len(content))}, request=request)
        self.fetched.append(name)
        return CLIENT.Response(200, headers=headers, content=content, request=request)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that can be reached, and an empty cache of it."""
    (tmp_path / "hub").mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    hub = Hub()
    huggingface_hub.set_client_factory(lambda: CLIENT.Client(transport=CLIENT.MockTransport(hub.answer)))
    yield hub
    huggingface_hub.set_client_factory(huggingface_hub.utils._http.default_client_factory)


@pytest.fixture
def captions(tmp_path):
    def opened(**asked):
        dataset = open_dataset(Request(NAME, **asked), tmp_path / "kept")
        scan = scan_folder(dataset.folder, ScanRule(caption_column=dataset.caption_column))
        return dataset.revision, [example.caption for example in scan.examples]

    return opened


def test_only_the_card_and_the_files_of_the_split_are_fetched(hub, captions):
    assert captions() == (COMMIT, ["a dog", "a cat"])
    assert sorted(hub.fetched) == ["README.md", "a/0.parquet", "a/1.parquet"]
    assert captions(config="b") == (COMMIT, ["a cow"])
    assert sorted(hub.fetched)[3:] == ["b/0.parquet"]


LOST = {
    "no network": CLIENT.ConnectError(""),
    "a broken connection": CLIENT.ReadError(""),
    "a slow hub": CLIENT.ReadTimeout(""),
}


@pytest.mark.parametrize("failure", LOST)
def test_where_the_hub_cannot_be_reached_what_was_fetched_is_used(hub, captions, failure):
    captions()
    hub.failure = LOST[failure]
    assert captions() == (COMMIT, ["a dog", "a cat"])
    with pytest.raises(
        DataError, match=r"no split test.*\(the hub was not asked: these are the files that its cache has"
    ):
        captions(split="test")


@pytest.mark.parametrize("failure", LOST)
def test_where_it_was_never_fetched_one_line_says_how_to_get_it(hub, captions, failure):
    hub.failure = LOST[failure]
    with pytest.raises(DataError) as caught:
        captions()
    assert str(caught.value).startswith(f"dataset {NAME}: no such folder here, not whole in the hub cache, and ")
    assert f"'hf download {NAME} --repo-type dataset'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_what_the_hub_refuses_is_said_with_its_reason(hub, captions, status):
    hub.failure = status
    with pytest.raises(DataError, match=f"dataset {NAME}: the hub does not give it: {status}"):
        captions()


def test_a_split_that_is_not_there_is_said_before_anything_large_is_fetched(hub, captions):
    with pytest.raises(DataError, match="no split other"):
        captions(split="other")
    assert hub.fetched == ["README.md"]
