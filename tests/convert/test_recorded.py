"""What docs/oracles.json says of the reference cases."""

import json

from convert.record_oracles import TARGET, paths_by_network


def test_all_cases_are_recorded_and_equal(harness, shared):
    recorded = json.loads(TARGET.read_text())
    cases = {network: len(paths) for network, paths in paths_by_network(harness, shared / "oracle").items()}
    assert {network for network in cases if network.startswith("mxnetseg/")} <= set(recorded), "run `make oracles`"
    assert {network: entry["cases"] for network, entry in recorded.items()}.items() <= cases.items()
    assert all(entry["equal"] == entry["cases"] for entry in recorded.values())
    assert all(entry["worst"] <= 1e-5 and entry["worst_strong"] <= 1e-4 for entry in recorded.values())
