"""What happens before mxnet is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from mxnetseg import compat


def test_removed_numpy_names_are_back():
    assert np.bool is bool
    assert np.object is object


def _seen(*names: str, before: str = "pass", **environment: str) -> list[str]:
    """Variables of the environment after the import."""
    code = f"import os; {before}; import mxnetseg; print(*(os.environ.get(name) for name in {names}))"
    ours = {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    env = {k: v for k, v in os.environ.items() if k not in ours} | environment
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def _threads_seen(cpus: set[int], **environment: str) -> str:
    (threads,) = _seen("OMP_NUM_THREADS", before=f"os.sched_setaffinity(0, {cpus})", **environment)
    return threads


def test_threads_follow_the_affinity():
    first = min(os.sched_getaffinity(0))
    assert _threads_seen({first}) == "1"


def test_threads_set_by_the_user_win():
    first = min(os.sched_getaffinity(0))
    assert _threads_seen({first}, OMP_NUM_THREADS="3") == "3"


def test_waiting_threads_spin_only_for_a_while():
    assert _seen("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") == ["ACTIVE", "10000"]


def test_waiting_set_by_the_user_wins():
    assert _seen("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", OMP_WAIT_POLICY="PASSIVE") == ["PASSIVE", "None"]
    assert _seen("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", GOMP_SPINCOUNT="5") == ["ACTIVE", "5"]


@pytest.mark.parametrize("name", ["MXNET_MKLDNN_CACHE_NUM", "DNNL_PRIMITIVE_CACHE_CAPACITY"])
def test_memory_per_size_of_input_is_bounded(monkeypatch, name):
    assert os.environ[name]  # by the import
    monkeypatch.setenv(name, "7")
    compat.bound_caches()
    assert os.environ[name] == "7"


@pytest.mark.parametrize(
    ("text", "expected"), [("max 100000", 64), ("150000 100000", 1), ("400000 100000", 4), ("", 64)]
)
def test_cgroup_quota_bounds_the_cpus(monkeypatch, text, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(compat.Path, "read_text", lambda _: text)
    assert compat.usable_cpus() == expected


def test_cuda_libraries_are_loaded_in_order(monkeypatch, tmp_path):
    for package in compat.CUDA_LIBRARIES.values():
        (tmp_path / package / "lib").mkdir(parents=True)
    for soname, package in compat.CUDA_LIBRARIES.items():
        (tmp_path / package / "lib" / soname).touch()
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name: spec)
    opened = []
    monkeypatch.setattr(compat.ctypes, "CDLL", lambda path, mode: opened.append(path.rsplit("/", 1)[-1]))
    assert compat.load_cuda_libraries() == list(compat.CUDA_LIBRARIES) == opened
