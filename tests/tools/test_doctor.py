"""The doctor finds each fault and says what to type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mxnetseg import compat
from mxnetseg.cli import main
from mxnetseg.tools import doctor, probe

H200 = {"name": "NVIDIA H200", "capability": "9.0", "driver": "570.1"}
A100 = {"name": "NVIDIA A100", "capability": "8.0", "driver": "570.1"}
GPU_BUILD = {"version": "1.9.1", "features": ["MKLDNN", "DIST_KVSTORE", "CUDA", "CUDNN"], "gpus": 1}


def _healthy() -> dict:
    return {
        "python": (3, 11, 7),
        "machine": "Linux x86_64",
        "numpy": "1.26.4",
        "mxnet": {"version": "1.9.1", "features": ["MKLDNN", "DIST_KVSTORE"], "gpus": 0},
        "gluoncv": {"version": "0.10.5.post0"},
        "cv2": {"version": "4.11.0"},
        "wandb": {"version": "0.31.0", "login": True, "mode": ""},
        "cuda": {"missing": []},
        "nvidia": [],
        "threads": "2",
        "cpus": 2,
        "disk": 50 << 30,
        "shm": 1 << 30,
        "folders": [Path.cwd()],
    }


def test_healthy_installation_has_no_problem():
    checks = doctor.diagnose(_healthy())
    assert {check.status for check in checks} == {"ok"}
    assert not any(check.remedy for check in checks)


FAULTS = [
    ({"python": (3, 12, 1)}, "Python", "FAIL", "make setup PYTHON="),
    ({"numpy": "2.3.1"}, "NumPy", "FAIL", "pip install numpy==1.26.4"),
    ({"numpy": "absent"}, "NumPy", "FAIL", "pip install numpy==1.26.4"),
    ({"numpy": "1.25.0"}, "NumPy", "warn", "pip install numpy==1.26.4"),
    (
        {"mxnet": {"error": "ModuleNotFoundError: No module named 'mxnet'"}},
        "MXNet",
        "FAIL",
        "pip install -r requirements.txt",
    ),
    (
        {"mxnet": {"error": "OSError: libgomp.so.1: cannot open shared object file"}},
        "MXNet",
        "FAIL",
        "apt-get install libgomp1",
    ),
    ({"mxnet": {"error": "OSError: libcudnn.so.8: cannot open"}}, "MXNet", "FAIL", "requirements-gpu.txt"),
    ({"mxnet": {"error": "AttributeError: module 'numpy' has no attribute 'bool'"}}, "MXNet", "FAIL", "numpy==1.26.4"),
    ({"mxnet": {"version": "1.9.1", "features": ["MKLDNN"], "gpus": 0}}, "DIST_KVSTORE", "warn", "requirements.txt"),
    ({"gluoncv": {"error": "ModuleNotFoundError: No module named 'gluoncv'"}}, "GluonCV", "FAIL", "requirements.txt"),
    (
        {"cv2": {"error": "ImportError: libGL.so.1: cannot open shared object file"}},
        "OpenCV",
        "FAIL",
        "apt-get install libgl1",
    ),
    ({"wandb": {"error": "PackageNotFoundError: wandb"}}, "wandb", "warn", "requirements.txt"),
    ({"mxnet": GPU_BUILD, "cuda": {"missing": ["libcudnn.so.8"]}}, "CUDA libraries", "FAIL", "requirements-gpu.txt"),
    ({"nvidia": [A100]}, "GPU 0", "warn", "requirements-gpu.txt"),
    ({"nvidia": [H200], "mxnet": GPU_BUILD}, "GPU 0", "warn", "--ctx cpu"),
    ({"nvidia": [A100, A100], "mxnet": GPU_BUILD}, "GPUs in MXNet", "warn", "CUDA_VISIBLE_DEVICES"),
    ({"threads": "1"}, "Threads", "warn", "unset OMP_NUM_THREADS"),
    ({"disk": 1 << 20}, "Disk", "FAIL", "rm -r"),
    ({"disk": 1 << 30}, "Disk", "warn", "rm -r"),
    ({"shm": 64 << 20}, "Shared memory", "warn", "--shm-size"),
    ({"folders": [Path("/proc/weights")]}, "Folder", "FAIL", "chown"),
]


@pytest.mark.parametrize(("fault", "name", "status", "remedy"), FAULTS)
def test_fault_is_named_with_its_remedy(fault, name, status, remedy):
    wrong = [check for check in doctor.diagnose(_healthy() | fault) if check.status != "ok"]
    assert [(check.name.strip(), check.status) for check in wrong] == [(name, status)]
    assert remedy in wrong[0].remedy


@pytest.mark.parametrize(("fault", "code"), [({}, 0), ({"threads": "1"}, 0), ({"numpy": "2.0.0"}, 1)])
def test_exit_code_tells_failures_only(monkeypatch, capsys, fault, code):
    monkeypatch.setattr(doctor, "gather", lambda: _healthy() | fault)
    assert main(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["count"]["FAIL"] == code
    assert main(["doctor"]) == code


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("import os; os.kill(os.getpid(), 11)", "signal 11"),
        ("import time; time.sleep(60)", "no answer"),
    ],
)
def test_probe_survives_a_broken_library(monkeypatch, code, text):
    monkeypatch.setitem(probe.PROBES, "broken", code)
    assert text in probe.probe("broken", timeout=3)["error"]


def test_wandb_probe_reads_the_login_without_asking(monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert probe.probe("wandb")["login"] is False
    (tmp_path / "netrc").write_text("machine api.wandb.ai\n login user\n password " + "x" * 40 + "\n")
    assert probe.probe("wandb")["login"] is True


def test_gpus_are_read_from_nvidia_smi(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 9.0, 570.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert compat.nvidia_gpus() == [H200]
    monkeypatch.setenv("PATH", str(tmp_path / "absent"))
    assert compat.nvidia_gpus() == []
