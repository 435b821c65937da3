"""Ready weights: the manifest tells the truth, what is damaged or absent is refused, what is fetched is verified."""

from __future__ import annotations

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml

from mxnetseg import cli, ready
from mxnetseg.engine.checkpoint import load_checkpoint, read_meta
from mxnetseg.engine.lookup import find_checkpoint
from mxnetseg.errors import CheckpointError, ConfigError
from mxnetseg.ready import MANIFEST, fetch, find_ready, ready_weights

CONTENT = b"weights" * 1000
SHIPPED = [name for name, entry in ready_weights().items() if entry.url is None]


def _entry(**changes):
    return {"sha256": hashlib.sha256(CONTENT).hexdigest(), "megabytes": 0.007, "summary": "for tests", **changes}


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """A manifest of one shipped and one remote entry, in place of the package's."""

    def write(**entries):
        (tmp_path / "package" / "manifest.yaml").write_text(yaml.safe_dump(entries))
        return tmp_path / "package" / "manifest.yaml"

    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "here.params").write_bytes(CONTENT)
    monkeypatch.setattr(ready, "MANIFEST", write(here=_entry(), far=_entry(url="http://127.0.0.1:9/far.params")))
    monkeypatch.chdir(tmp_path)
    return write


@pytest.fixture
def server():
    """Serves /good, /wrong, and /short, which promises more than it sends; counts the requests."""

    class Handler(BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self):
            Handler.asked += 1
            content = {"/good": CONTENT, "/wrong": CONTENT[:-1] + b"!", "/short": CONTENT[:100]}.get(self.path)
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield Handler, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_what_the_manifest_says(name):
    entry, path = ready_weights()[name], find_ready(name)
    assert path == MANIFEST.parent / f"{name}.params" == find_checkpoint(name)
    assert path.stat().st_size == pytest.approx(entry.megabytes * 1e6, rel=0.01)
    meta = load_checkpoint(path).meta
    assert f"{100 * meta['metrics']['mIoU']:.2f} %" in entry.summary
    assert not re.search(r'"/\w', json.dumps(meta))  # no path of the machine that trained it


def test_shipped_weights_are_few_megabytes_and_have_a_card():
    assert SHIPPED
    assert sum(path.stat().st_size for path in MANIFEST.parent.glob("*.params")) <= 8e6
    assert {path.stem for path in MANIFEST.parent.glob("*.params")} == set(SHIPPED)
    card = (MANIFEST.parent / "README.md").read_text()
    for name in SHIPPED:
        score = 100 * read_meta(MANIFEST.parent / f"{name}.params")["metrics"]["mIoU"]
        assert f"`{name}`" in card
        assert f"{score:.2f} %" in card


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith("camvid")])
def test_shipped_weights_have_the_score_of_their_card(name, shared, tmp_path, capsys):
    where = ["--data-root", str(shared / "data/CamVid"), "--ctx", "cpu", "--save-dir", str(tmp_path)]
    assert cli.main(["eval", "--checkpoint", name, "--json", *where]) == 0
    score = json.loads(capsys.readouterr().out)["mIoU"]
    assert score == pytest.approx(read_meta(find_ready(name))["metrics"]["mIoU"], abs=1e-6)


def test_names_with_and_without_suffix(manifest):
    assert find_ready("here") == find_ready("here.params")
    assert find_ready("unknown") is None


def test_what_is_absent_is_not_fetched_without_asking(manifest):
    with pytest.raises(CheckpointError, match=r"far are not here[^$]*mxnetseg fetch far"):
        find_checkpoint("far")


def test_a_flipped_byte_is_refused(manifest, tmp_path):
    damaged = bytearray(CONTENT)
    damaged[17] ^= 1
    (tmp_path / "package" / "here.params").write_bytes(damaged)
    with pytest.raises(CheckpointError, match=r"here.params is damaged"):
        find_ready("here")
    with pytest.raises(CheckpointError, match="another file, and the manifest names no address"):
        fetch("here")


def test_fetch_verifies_and_asks_once(manifest, server, tmp_path):
    handler, address = server
    ours = manifest(far=_entry(url=f"{address}/good"))
    assert fetch("far", manifest=ours).read_bytes() == CONTENT
    assert fetch("far", manifest=ours) == find_ready("far")
    assert handler.asked == 1
    (tmp_path / "weights" / "far.params").write_bytes(b"damaged")
    assert fetch("far", manifest=ours).read_bytes() == CONTENT
    assert handler.asked == 2


@pytest.mark.parametrize(
    "page, message", [("wrong", "another file; nothing was kept"), ("short", "cannot fetch"), ("none", "404")]
)
def test_what_is_not_the_file_is_not_kept(page, message, manifest, server, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        fetch("far", manifest=manifest(far=_entry(url=f"{server[1]}/{page}")))
    assert not [path for path in (tmp_path / "weights").rglob("*") if path.is_file()]


def test_no_connection_and_no_such_name(manifest):
    with pytest.raises(CheckpointError, match=r"cannot fetch[^$]*copy the file to weights/far.params"):
        fetch("far")
    with pytest.raises(CheckpointError, match=r"no ready weights 'fra'[^$]*did you mean 'far'"):
        fetch("fra")


@pytest.mark.parametrize("change", [{"sha256": "0"}, {"url": "file:///etc/passwd"}, {"size": 3}, {"megabytes": None}])
def test_a_wrong_manifest_is_named(manifest, change):
    with pytest.raises(ConfigError, match=rf"manifest.yaml: far.{next(iter(change))}"):
        ready_weights(manifest(far=_entry() | change))


def test_the_commands(manifest, server, capsys):
    ours = manifest(far=_entry(url=f"{server[1]}/good"))
    assert cli.main(["list", "weights"]) == 0
    assert "for tests" in capsys.readouterr().out
    assert cli.main(["fetch", "far", "--manifest", str(ours), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "weights/far.params"
