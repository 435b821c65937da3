"""``mxnetseg doctor``: checks the installation and says, for each problem, what to type."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..compat import nvidia_gpus, usable_cpus
from .probe import PROBES, probe

__all__ = ["HELP", "Check", "add_arguments", "diagnose", "gather", "run"]

HELP = "Check the installation and say, for each problem, what to type."
EXAMPLES = """\
mxnetseg doctor
mxnetseg doctor --json
"""
INSTALL = "pip install -r requirements.txt"
INSTALL_GPU = "pip install -r requirements-gpu.txt  (in an environment of its own)"
GIB = 1 << 30

# Part of an import error, and what repairs it.
_CURES = {
    "libgomp": "apt-get install libgomp1",
    "libGL": "apt-get install libgl1",
    "libgthread": "apt-get install libglib2.0-0",
    "libgfortran": "apt-get install libgfortran5",
    "libquadmath": "apt-get install libquadmath0",
    "libcu": INSTALL_GPU,
    "libnccl": INSTALL_GPU,
    "libnv": INSTALL_GPU,
    "numpy": "pip install numpy==1.26.4",
    "_ARRAY_API": "pip install numpy==1.26.4",
    "signal 4": "this CPU lacks instructions that the library was built with; use a machine with AVX2",
}


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis.

    Attributes
    ----------
    name : str
        What was checked.
    status : str
        ``ok``, ``warn`` or ``FAIL``.
    found : str
        What was found.
    remedy : str
        What to type; empty when nothing is wrong.
    """

    name: str
    status: str
    found: str
    remedy: str = ""


def _cure(error: str) -> str:
    return next((cure for part, cure in _CURES.items() if part in error), INSTALL)


def check_python(version: tuple[int, ...], machine: str) -> Iterator[Check]:
    """Python 3.11 on Linux x86_64, for which all pinned wheels exist."""
    found = f"{'.'.join(map(str, version[:3]))} on {machine}"
    right = version[:2] == (3, 11) and machine == "Linux x86_64"
    remedy = "" if right else "make clean && make setup PYTHON=/path/to/python3.11  (on Linux x86_64)"
    yield Check("Python", "ok" if right else "FAIL", found, remedy)


def check_numpy(version: str) -> Iterator[Check]:
    """NumPy 1.26.4; the names that MXNet needs are gone for good in 2."""
    status = "ok" if version == "1.26.4" else "warn" if version.startswith("1.") else "FAIL"
    yield Check("NumPy", status, version, "" if status == "ok" else "pip install numpy==1.26.4")


def check_mxnet(facts: dict[str, Any]) -> Iterator[Check]:
    """MXNet 1.9.1 that imports, with oneDNN and the parameter server."""
    if "error" in facts:
        yield Check("MXNet", "FAIL", facts["error"], _cure(facts["error"]))
        return
    right = facts["version"] == "1.9.1"
    yield Check("MXNet", "ok" if right else "warn", facts["version"], "" if right else INSTALL)
    meaning = {"MKLDNN": "oneDNN kernels for the CPU", "DIST_KVSTORE": "training on several machines"}
    for feature, use in meaning.items():
        there = feature in facts["features"]
        yield Check(
            f"  {feature}", "ok" if there else "warn", use if there else f"missing: no {use}", "" if there else INSTALL
        )
    yield Check("  CUDA", "ok", "built in" if "CUDA" in facts["features"] else "not built in: this MXNet runs on CPUs")


def check_import(name: str, facts: dict[str, Any], expected: str) -> Iterator[Check]:
    """Report a library that must import; another version than the pinned one is a warning."""
    if "error" in facts:
        yield Check(name, "FAIL", facts["error"], _cure(facts["error"]))
        return
    right = facts["version"].startswith(expected)
    yield Check(name, "ok" if right else "warn", facts["version"], "" if right else INSTALL)


def check_wandb(facts: dict[str, Any]) -> Iterator[Check]:
    """Report wandb and its login; it is optional, and a run without login stays offline."""
    if "error" in facts:
        yield Check("wandb", "warn", f"not usable ({facts['error']}); --wandb will not work", INSTALL)
        return
    login = "logged in" if facts["login"] else "not logged in: runs stay offline (`wandb login` changes that)"
    mode = f", WANDB_MODE={facts['mode']}" if facts["mode"] else ""
    yield Check("wandb", "ok", f"{facts['version']}, {login}{mode}")


def check_gpus(gpus: list[dict[str, Any]], mxnet: dict[str, Any], cuda: dict[str, Any]) -> Iterator[Check]:
    """Libraries and devices: MXNet 1.9.1 has machine code for compute capability 5.0 to 8.x, and no PTX."""
    built = "CUDA" in mxnet.get("features", ())
    missing = cuda.get("missing", [])
    if built and missing:
        yield Check("CUDA libraries", "FAIL", f"missing: {', '.join(missing)}", INSTALL_GPU)
    else:
        yield Check("CUDA libraries", "ok", "all found" if built else "not needed by an MXNet for CPUs")
    if not gpus:
        yield Check("GPU", "ok", "none (nvidia-smi reports no device); use --ctx cpu")
    for index, gpu in enumerate(gpus):
        yield _check_gpu(index, gpu, built, mxnet.get("gpus", 0))
    if built and 0 <= mxnet.get("gpus", 0) < len(gpus):
        found = f"MXNet sees {mxnet.get('gpus', 0)} of {len(gpus)}"
        yield Check("GPUs in MXNet", "warn", found, "check CUDA_VISIBLE_DEVICES and the driver: nvidia-smi")


def _check_gpu(index: int, gpu: dict[str, Any], built: bool, visible: int) -> Check:
    found = f"{gpu['name']}, compute capability {gpu['capability']}, driver {gpu['driver']}"
    capability = tuple(int(part) for part in gpu["capability"].split(".") if part.isdigit())
    if not (5, 0) <= capability < (9, 0):
        remedy = "train with --ctx cpu; run exported networks on this GPU in another runtime (ONNX)"
        return Check(f"GPU {index}", "warn", f"{found}: MXNet 1.9.1 has no code for it", remedy)
    if not built:
        return Check(f"GPU {index}", "warn", f"{found}: not used, this MXNet is built for CPUs", INSTALL_GPU)
    return Check(f"GPU {index}", "ok", found)


def check_threads(value: str, cpus: int) -> Iterator[Check]:
    """OpenMP threads as many as CPUs that the process may use."""
    found = f"OMP_NUM_THREADS={value}, usable CPUs: {cpus}"
    if value == str(cpus):
        yield Check("Threads", "ok", found)
    else:
        yield Check("Threads", "warn", f"{found}: slower than it could be", "unset OMP_NUM_THREADS")


def _free(folder: str) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def check_space(disk: int, shm: int) -> Iterator[Check]:
    """Space for checkpoints in the working folder and for batches in shared memory, in bytes."""
    status = "FAIL" if disk < GIB // 4 else "warn" if disk < 2 * GIB else "ok"
    yield Check(
        "Disk", status, f"{disk / GIB:.1f} GiB free", "" if status == "ok" else "free some space: rm -r runs/<old runs>"
    )
    status = "ok" if shm >= GIB // 4 else "warn"
    remedy = "" if status == "ok" else "docker run --shm-size=2g ..., or train with data.workers=0"
    yield Check("Shared memory", status, f"{shm / GIB:.2f} GiB free in /dev/shm", remedy)


def check_folder(folder: Path) -> Iterator[Check]:
    """Report whether files can be written in `folder`, or where it would be made."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        yield Check("Folder", "FAIL", f"{folder}: {error.strerror}", f"chown -R $USER {place}")
    else:
        yield Check("Folder", "ok", f"{folder} is writeable")


def _installed(package: str) -> str:
    """Version of an installed package, which need not be importable; "absent" without it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def gather() -> dict[str, Any]:
    """Collect every fact that :func:`diagnose` judges; the imports run side by side."""
    with ThreadPoolExecutor() as pool:
        probes = dict(zip(PROBES, pool.map(probe, PROBES), strict=True))
    home = Path(os.environ.get("MXNET_HOME", "~/.mxnet")).expanduser()
    return {
        "python": (*sys.version_info[:3],),
        "machine": f"{platform.system()} {platform.machine()}",
        "numpy": _installed("numpy"),
        **probes,
        "nvidia": nvidia_gpus(),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "cpus": usable_cpus(),
        "disk": _free("."),
        "shm": _free("/dev/shm"),
        "folders": [Path("weights").resolve(), Path("runs").resolve(), home],
    }


def diagnose(facts: dict[str, Any]) -> list[Check]:
    """Judge the facts of :func:`gather`.

    Returns
    -------
    list of Check
        In the order in which problems should be repaired.
    """
    checks = [
        *check_python(facts["python"], facts["machine"]),
        *check_numpy(facts["numpy"]),
        *check_mxnet(facts["mxnet"]),
        *check_import("GluonCV", facts["gluoncv"], "0.10.5"),
        *check_import("OpenCV", facts["cv2"], "4."),
        *check_wandb(facts["wandb"]),
        *check_gpus(facts["nvidia"], facts["mxnet"], facts["cuda"]),
        *check_threads(facts["threads"], facts["cpus"]),
        *check_space(facts["disk"], facts["shm"]),
    ]
    return checks + [check for folder in facts["folders"] for check in check_folder(folder)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the diagnosis; 1 when something will not work."""
    checks = diagnose(gather())
    count = {status: sum(check.status == status for check in checks) for status in ("ok", "warn", "FAIL")}
    if args.json:
        print(json.dumps({"checks": [asdict(check) for check in checks], "count": count}, indent=2))
        return int(count["FAIL"] > 0)
    for check in checks:
        print(f"{check.status:4}  {check.name:15} {check.found}")
        if check.remedy:
            print(f"      type: {check.remedy}")
    print(f"doctor: {count['ok']} ok, {count['warn']} warnings, {count['FAIL']} failed")
    return int(count["FAIL"] > 0)
