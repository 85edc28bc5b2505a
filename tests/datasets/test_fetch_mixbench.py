"""fetch_mixbench against a small hub on this machine, which speaks the hub's protocol."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("PIL")
pytest.importorskip("huggingface_hub")

from gapremoval.datasets import fetch_mixbench, make_mixbench

REPOSITORY = "mixed-modality-search/MixBench25"
COMMIT = "88e3916036ea0bdb205f4da885d6e947a565c1a0"


class Hub(BaseHTTPRequestHandler):
    """Files of a folder as a repository; `files`, `asked` and `cut` are set on a subclass."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        tree = f"/api/datasets/{REPOSITORY}/tree/{COMMIT}"
        resolve = f"/datasets/{REPOSITORY}/resolve/{COMMIT}/"
        if path.startswith(tree):
            under = path.removeprefix(tree).strip("/")
            listed = [self.entry(name) for name in self.files if name.startswith(under)]
            self.answer(json.dumps(listed).encode(), {"Content-Type": "application/json"})
        elif path.startswith(resolve) and path.removeprefix(resolve) in self.files:
            self.serve(path.removeprefix(resolve))
        else:
            self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def serve(self, name):
        content, entry = self.files[name], self.entry(name)
        etag = entry.get("lfs", entry)["oid"]
        start = int(self.headers.get("Range", "bytes=0-")[6:].rpartition("-")[0] or 0)
        if self.command == "GET":
            self.asked.append(name)
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "X-Linked-Size": len(content)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.command == "GET" and name in self.cut
        self.cut.difference_update({name} if cut else ())  # once
        self.answer(content[start:], headers, 206 if start else 200, cut)

    def answer(self, content, headers, status=200, cut=False):
        self.send_response(status)
        for field, value in {**headers, "Content-Length": len(content)}.items():
            self.send_header(field, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = cut

    def entry(self, name):
        content = self.files[name]
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "path": name, "size": len(content), "oid": git}
        if name.endswith(".png"):  # kept by git-lfs
            sha256 = hashlib.sha256(self.promised.get(name, content)).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
        return entry

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path):
    """A hub that serves a miniature of MSCOCO, until the test ends."""
    root = tmp_path / "repository"
    make_mixbench(root / "MSCOCO", 4, random_state=0)
    files = {
        str(file.relative_to(root).as_posix()): file.read_bytes()
        for file in sorted(root.rglob("*"))
        if file.is_file()
    }
    state = {"files": files, "asked": [], "cut": set(), "promised": {}}
    served = type("Served", (Hub,), state)
    server = ThreadingHTTPServer(("127.0.0.1", 0), served)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()


CODE = """
import sys, warnings
from gapremoval.datasets import fetch_mixbench
warnings.simplefilter("ignore")  # the miniature does not have the published counts
for home in sys.stdin:  # a call for each line
    try:
        subset = fetch_mixbench("MSCOCO", data_home=home.strip())
        print(len(subset.queries), len(set(subset.ids)), len(subset.pairs.images), flush=True)
    except OSError as error:
        print("ERROR", error, flush=True)
"""


def test_a_download_goes_on_is_compared_and_is_not_repeated(hub, tmp_path):
    # The client reads the address of its hub when it is imported.
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_OFFLINE": "0"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CODE], env=environment, **pipes) as process:

        def fetch():
            hub.asked.clear()
            process.stdin.write(f"{tmp_path / 'home'}\n")
            process.stdin.flush()
            return process.stdout.readline()

        cut, wrong = "MSCOCO/corpus.jsonl", "MSCOCO/images/3.png"
        hub.cut.add(cut)
        hub.promised[wrong] = b"what the repository has"
        refused = fetch()
        assert "1 of 8 files of MixBench's MSCOCO do not have the checksum" in refused
        assert wrong in refused
        assert sorted(hub.asked) == sorted([*hub.files, cut])

        hub.promised.clear()
        assert fetch() == "4 4 4\n"
        assert hub.asked == [wrong]

        assert fetch() == "4 4 4\n"
        assert hub.asked == []
    (kept,) = (tmp_path / "home").rglob("MSCOCO.sha256")
    sums = dict(reversed(line.split("  ")) for line in kept.read_text().splitlines())
    assert sums == {x: hashlib.sha256(hub.files[x]).hexdigest() for x in hub.files}


def test_without_a_download_an_error_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("GAPREMOVAL_DATA_HOME", str(tmp_path / "home"))
    with pytest.raises(OSError, match=r"OVEN is not complete in .*home.*download_if_missing"):
        fetch_mixbench("OVEN", download_if_missing=False)
    assert not [file for file in Path(tmp_path / "home").rglob("*") if file.is_file()]


def test_an_unknown_subset_is_an_error_that_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"'subset' parameter .*'Google_WIT'.* Got 'COCO'"):
        fetch_mixbench("COCO", data_home=tmp_path)
