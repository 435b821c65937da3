"""Names are known without importing what they name."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mxnetseg import registry as registry_module
from mxnetseg.cli import main
from mxnetseg.config import read_yaml
from mxnetseg.errors import ConfigError, NameNotFoundError
from mxnetseg.registry import BACKBONES, DATASETS, LOSSES, MODELS, Registry
from mxnetseg.tools.listing import CONFIGS

ALL = [MODELS, BACKBONES, DATASETS, LOSSES]
NAMES = [(registry, name) for registry in ALL for name in registry.names()]
IDS = [name for _, name in NAMES]

SOURCE = '''
from mxnetseg.registry import MODELS

raise RuntimeError("imported")

@MODELS.register("DeepThing", aliases=("deep", "dt"), paper="arXiv:0", backbones=("resnet18",))
class DeepThing:
    """Deep thing.

    More.
    """

@MODELS.register("Other")
def other():
    """Other thing."""
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "deep.py").write_text(SOURCE)
    monkeypatch.setattr(registry_module, "_PACKAGE", tmp_path)
    return Registry("toy", "MODELS", "toys")


def test_reading_entries_imports_nothing(toy):
    entry = toy.entry("deep")
    assert (entry.name, entry.aliases, entry.summary) == ("DeepThing", ("deep", "dt"), "Deep thing.")
    assert entry.meta == {"paper": "arXiv:0", "backbones": ("resnet18",)}
    assert (entry.module, entry.attribute) == ("mxnetseg.toys.deep", "DeepThing")
    assert toy.names("deep*") == ["DeepThing"]


@pytest.mark.parametrize("spelling", ["DeepThing", "deepthing", "deep_thing", "deep-thing", "DT"])
def test_spelling_of_case_and_dashes_does_not_matter(toy, spelling):
    assert toy.entry(spelling).name == "DeepThing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('@MODELS.register("Third", aliases=("other",))\nclass Third:\n    """."""', "'other' is registered by .*deep"),
        ('@MODELS.register("Other")\nclass Third:\n    """."""', "'Other' is registered by mxnetseg.toys.deep and by"),
        ('\n\n@MODELS.register("Third"\n    paper="")\nclass Third:\n    """."""', r"new.py, line [34]: "),
        ('@MODELS.register("Third", paper=PAPER)\nclass Third:\n    """."""', "new.py: .*computed\n.*literals"),
    ],
)
def test_mistakes_in_a_new_file_are_explained(toy, text, message):
    (registry_module._PACKAGE / "toys" / "new.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        toy.names()


def test_unknown_name_lists_and_suggests(toy):
    with pytest.raises(NameNotFoundError) as caught:
        toy.entry("depthing")
    assert "DeepThing, Other" in caught.value.expected
    assert "'DeepThing'" in caught.value.remedy


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.variable)
def test_no_two_entries_share_a_name(registry):
    owners = {(registry_module._key(n), e.name) for e in registry.entries() for n in (e.name, *e.aliases)}
    assert len(owners) == len({key for key, _ in owners})


@pytest.mark.parametrize(("registry", "name"), NAMES, ids=IDS)
def test_each_entry_loads_and_has_a_summary(registry, name):
    entry = registry.entry(name)
    assert entry.summary.endswith(".")
    assert callable(entry.load())


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.variable)
def test_listing_as_json_holds_every_name(registry, capsys):
    assert main(["list", registry.variable.lower(), "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == registry.names()


def test_listing_by_part_of_a_name(capsys):
    assert main(["list", "models", "psp"]) == 0
    assert "PSPNet" in capsys.readouterr().out
    assert main(["list", "models", "nothing-like-it"]) == 2


def _listed(capsys, *words):
    assert main(["list", *words, "--json"]) == 0
    return {row["name"] for row in json.loads(capsys.readouterr().out)}


def test_filters_of_models(capsys):
    assert {"BiSeNetR", "SwiftResNet"} <= _listed(capsys, "models", "--realtime") < set(MODELS.names())
    assert _listed(capsys, "--realtime") == _listed(capsys, "models", "--realtime")
    assert _listed(capsys, "models", "--backbone", "Xception-39") == {"BiSeNetX"}
    assert _listed(capsys, "models", "bisenet", "--backbone", "resnet18") == {"BiSeNetR", "BiSeNetV1"}
    assert {"PSPNet", "DANet"} <= _listed(capsys, "models", "--dataset", "citys") < set(MODELS.names())
    assert _listed(capsys, "models", "--paper", "eccv 2018") >= {"BiSeNetR", "DeepLabv3PlusR"}


def test_filters_of_configurations(capsys):
    names = _listed(capsys, "configs")
    assert _listed(capsys, "configs", "--dataset", "cityscapes") == {n for n in names if n.startswith("cityscapes/")}
    assert _listed(capsys, "configs", "--backbone", "resnet101") == {
        n for n in names if read_yaml(CONFIGS / n).get("model", {}).get("backbone") == "resnet101"
    }
    assert "cityscapes/bisenetr_resnet18.yaml" in _listed(capsys, "configs", "--realtime")
    assert _listed(capsys, "configs", "pretty-surf-1") == {"cityscapes/fcnresnet_resnet18.yaml"}


def test_papers_are_shown_on_demand(capsys):
    assert main(["list", "models", "psp", "--paper"]) == 0
    assert "Zhao et al., CVPR 2017" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["losses", "--realtime"], "do not filter losses"),
        (["models", "--backbone", "resnet19"], "'resnet18'"),
        (["models", "--dataset", "cityscape"], "'Cityscapes'"),
        (["models", "--paper", "of nobody"], "passes all filters"),
    ],
)
def test_wrong_filters_are_explained(words, message, capsys):
    assert main(["list", *words]) == 2
    assert message in capsys.readouterr().err


def test_data_sets_do_not_need_mxnet():
    code = """
import sys
from mxnetseg.registry import DATASETS
[entry.load() for entry in DATASETS.entries()]
print("mxnet" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
