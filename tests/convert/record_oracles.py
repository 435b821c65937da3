"""Run the reference cases of MXNetSeg's networks and write what came out to docs/oracles.json.

    python tests/convert/record_oracles.py [MODEL ...]

The README's table of models is made from that file. With names only these models are run, the rest stays.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import mxnetseg  # noqa: F401  (threads and NumPy names, before mxnet is imported)

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "oracles.json"


def paths_by_model(harness, folder: Path) -> dict[str, list[Path]]:
    """Whole-network cases of MXNetSeg by the official name of the network."""
    found: dict[str, list[Path]] = {}
    for path in harness.network_cases(folder):
        system, model = path.name.split("__")[:2]
        if system == "mxnetseg":
            found.setdefault(model, []).append(path)
    return found


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
    return {"cases": len(paths), "equal": equal, **worst}


def main(names: list[str]) -> None:
    folder = Path(os.environ.get("MXNETSEG_SHARED", ROOT.parent / "shared")) / "oracle"
    sys.path.insert(0, str(folder))
    import harness

    results = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    for model, paths in paths_by_model(harness, folder).items():
        if not names or model in names:
            results[model] = record(harness, paths)
            TARGET.parent.mkdir(exist_ok=True)
            lines = (f'  "{name}": {json.dumps(value)}' for name, value in sorted(results.items()))
            TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
