"""Facts about the installation, gathered in sub-processes so that a broken library cannot take the caller along."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

__all__ = ["PROBES", "probe"]

TIMEOUT = 60.0  # seconds; a healthy import takes two

# Code that ends by printing one JSON object.
PROBES = {
    "mxnet": """
import mxnetseg, mxnet as mx, mxnet.runtime as rt
features = [name for name, feature in rt.Features().items() if feature.enabled]
print(json.dumps(dict(version=mx.__version__, features=features, gpus=mx.context.num_gpus())))
""",
    "gluoncv": """
import importlib.metadata, mxnetseg, gluoncv
print(json.dumps(dict(version=importlib.metadata.version("gluoncv"))))
""",
    "cv2": "import cv2; print(json.dumps(dict(version=cv2.__version__)))",
    "wandb": """
import importlib.metadata, netrc, os, pathlib
path = pathlib.Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
hosts = netrc.netrc(str(path)).hosts if path.exists() else {}
login = bool(os.environ.get("WANDB_API_KEY")) or any("wandb" in host for host in hosts)
mode = os.environ.get("WANDB_MODE", "")
print(json.dumps(dict(version=importlib.metadata.version("wandb"), login=login, mode=mode)))
""",
    "cuda": """
import ctypes, mxnetseg.compat as compat
missing = []
for soname in compat.CUDA_LIBRARIES:
    try:
        ctypes.CDLL(soname)
    except OSError:
        missing.append(soname)
print(json.dumps(dict(missing=missing)))
""",
}


def probe(name: str, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Run one of :data:`PROBES` in a fresh interpreter.

    Parameters
    ----------
    name : str
        Key of :data:`PROBES`.
    timeout : float
        Seconds after which the library counts as hanging.

    Returns
    -------
    dict
        What the probe found, or ``{"error": text}``.
    """
    command = [sys.executable, "-W", "ignore", "-c", "import json\n" + PROBES[name]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {timeout:g} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    if done.returncode < 0:
        return {"error": f"the import was killed by signal {-done.returncode}"}
    return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
