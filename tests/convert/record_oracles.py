"""Run the reference cases of whole networks and write what came out to docs/oracles.json.

    python tests/convert/record_oracles.py [TEXT ...]

The table of docs/models.md is made from that file. Only official networks whose ``system/name`` contains one of the
texts are run; the rest stays as it is.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

import mxnetseg  # noqa: F401  (threads and NumPy names, before mxnet is imported)

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "oracles.json"


def paths_by_network(harness, folder: Path) -> dict[str, list[Path]]:
    """Whole-network cases by ``system/network``, of the systems that can be converted."""
    from mxnetseg.convert import systems

    found: dict[str, list[Path]] = {}
    for path in harness.network_cases(folder):
        system, network = path.name.split("__")[:2]
        if system in systems():
            found.setdefault(f"{system}/{network}", []).append(path)
    return found


def our_name(path: Path) -> str:
    """Registered name of our network for a case, or the official one where it is no segmentation network."""
    from mxnetseg.convert import build_reference
    from mxnetseg.registry import MODELS

    system, official = path.name.split("__")[:2]
    meta = json.loads(path.with_suffix(".json").read_text())
    network = build_reference(system, meta["model"], **meta["kwargs"])
    prefix = getattr(network, "model", network).prefix.rstrip("_")  # of a network and of its inference view
    return next((name for name in MODELS.names() if name.lower() == prefix), official)


def record(harness, paths: list[Path]) -> dict:
    """Numbers of cases and of equal ones, largest relative error of the plain and of the strong-signal ones."""
    equal, worst = 0, {"worst": 0.0, "worst_strong": 0.0}
    for path in paths:
        case = harness.load_case(path)
        errors, learnable, _ = harness.check(case)
        error = max(errors.values())
        equal += error <= case.tolerance and learnable == case.params
        kind = "worst" if case.tolerance < 5e-5 else "worst_strong"
        worst[kind] = max(worst[kind], float(f"{error:.2g}"))
        print(f"{path.name}: {error:.1e}", flush=True)
        del case
        gc.collect()  # networks refer to themselves, and the largest of them take gigabytes
    return {"model": our_name(paths[0]), "cases": len(paths), "equal": equal, **worst}


def main(texts: list[str]) -> None:
    folder = Path(os.environ.get("MXNETSEG_SHARED", ROOT.parent / "shared")) / "oracle"
    sys.path.insert(0, str(folder))
    import harness

    for network, paths in paths_by_network(harness, folder).items():
        if not texts or any(text in network for text in texts):
            write(network, record(harness, paths))


def write(network: str, result: dict) -> None:
    """Put one result into the file."""
    results = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    results[network] = result
    lines = (f'  "{name}": {json.dumps(value)}' for name, value in sorted(results.items()))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
