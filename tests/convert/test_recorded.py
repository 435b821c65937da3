"""What docs/oracles.json says of the reference cases."""

import json

from convert.record_oracles import TARGET, paths_by_model


def test_all_cases_are_recorded_and_equal(harness, shared):
    recorded = json.loads(TARGET.read_text())
    cases = paths_by_model(harness, shared / "oracle")
    assert {model: entry["cases"] for model, entry in recorded.items()} == {m: len(p) for m, p in cases.items()}
    assert all(entry["equal"] == entry["cases"] for entry in recorded.values())
    assert all(entry["worst"] <= 1e-5 and entry["worst_strong"] <= 1e-4 for entry in recorded.values())
