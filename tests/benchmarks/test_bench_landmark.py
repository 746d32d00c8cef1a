"""The benchmark runs and prints every figure; coverage and times are not checked."""

import json

from tests.benchmarks.bench_landmark import LANDMARKS, PERSONS, main


def test_one_json_object_with_every_figure(capsys):
    figures = main(["--quick", "--json"])
    assert json.loads(capsys.readouterr().out) == figures
    cells = figures["coverage"]
    assert {(c["landmarks"], c["persons_with_onset"]) for c in cells} == {
        (k, n) for k in (1, len(LANDMARKS)) for n in PERSONS
    }
    measures = {"auroc", "auroc_event_free", "auprc", "observed_expected", "prevalence"}
    for cell in cells:
        assert set(cell["coverage"]) == measures | {"auroc_difference", "auprc_difference"}
        assert set(cell.get("band", measures)) == measures
    assert figures["speed"]["seconds"] > 0
