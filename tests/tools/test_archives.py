"""Unpacking of archives that may come from anywhere."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest

from mxnetseg.errors import DataError
from mxnetseg.tools.prepare import archives
from mxnetseg.tools.prepare.archives import extract

FILES = {"top/a.txt": b"a" * 5000, "top/sub/b.txt": b"bb", "top/c.bin": bytes(range(256)) * 40}
FORMS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def pack(path, files=FILES):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for name, content in files.items():
                out.writestr(name, content)
        return path
    kind = {".tar": "w", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w:gz")
    with tarfile.open(path, kind) as out:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def below(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_unpacks(tmp_path, form):
    notes = {"__MACOSX/top/._a.txt": b"x", "top/.DS_Store": b"x", "top/._c.bin": b"x"}
    archive = pack(tmp_path / f"data{form}", FILES | notes)
    assert below(extract(archive, tmp_path / "out")) == FILES


@pytest.mark.parametrize("form", [".zip", ".tar.gz"])
def test_goes_on_where_it_stopped(tmp_path, form, monkeypatch):
    archive, out = pack(tmp_path / f"data{form}"), tmp_path / "out"
    written, original = [], archives._write

    def write(content, path, size, bar):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        original(content, path, size, bar)

    monkeypatch.setattr(archives, "_write", write)
    with pytest.raises(KeyboardInterrupt):
        extract(archive, out)
    (out / "top/sub/b.txt").write_bytes(b"")  # as after a crash of the machine
    del written[:]
    extract(archive, out)
    assert written == ["b.txt", "c.bin"]
    assert below(out) == FILES


@pytest.mark.parametrize("form", FORMS)
def test_truncated_archives_are_named(tmp_path, form):
    archive = pack(tmp_path / f"data{form}")
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2 - 7])
    with pytest.raises(DataError, match=r"data\.") as caught:
        extract(archive, tmp_path / "out")
    assert "download it again" in caught.value.remedy
    assert not list(tmp_path.rglob("*.tmp"))


def test_damaged_content_is_noticed(tmp_path):
    archive = pack(tmp_path / "data.zip")
    content = bytearray(archive.read_bytes())
    content[zipfile.ZipFile(archive).getinfo("top/c.bin").header_offset + 80] ^= 255
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.zip"):
        extract(archive, tmp_path / "out")
    assert set(below(tmp_path / "out")) == {"top/a.txt", "top/sub/b.txt"}


NAMES = [
    "../evil.txt",
    "top/../../evil.txt",
    "/evil.txt",
    "\\evil.txt",
    "C:\\evil.txt",
    "C:/evil.txt",
    "a\\..\\..\\b",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [".zip", ".tar"])
def test_names_that_lead_outside_are_refused(tmp_path, form, name):
    archive = pack(tmp_path / f"data{form}", {"good.txt": b"x", name: b"evil"})
    with pytest.raises(DataError, match="not safe to unpack") as caught:
        extract(archive, tmp_path / "in" / "out")
    assert "absolute name" in str(caught.value) or "'..'" in str(caught.value)
    assert set(below(tmp_path)) == {archive.name}


KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]


@pytest.mark.parametrize("kind", KINDS)
def test_links_and_devices_in_tar_are_refused(tmp_path, kind):
    archive = tmp_path / "data.tar"
    with tarfile.open(archive, "w") as out:
        info = tarfile.TarInfo("thing")
        info.type, info.linkname = kind, "/etc/passwd"
        out.addfile(info)
    with pytest.raises(DataError, match=r"not safe to unpack:\n    'thing': (link to '/etc/passwd'|device)"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_zip_are_refused(tmp_path, kind):
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as out:
        info = zipfile.ZipInfo("thing")
        info.external_attr = (kind | 0o777) << 16
        out.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"'thing': (symbolic link|special file)"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_encrypted_archives_are_refused(tmp_path):
    archive = pack(tmp_path / "data.zip")
    content = bytearray(archive.read_bytes())
    for place in range(len(content) - 4):
        if content[place : place + 4] == b"PK\x01\x02":
            content[place + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        extract(archive, tmp_path / "out")


def test_full_disks_are_noticed_before(tmp_path, monkeypatch):
    archive = pack(tmp_path / "data.zip")
    free = type("Usage", (), {"free": 10})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: free)
    with pytest.raises(DataError, match=r"0\.0 GiB are free"):
        extract(archive, tmp_path / "out")
    assert not below(tmp_path / "out")
