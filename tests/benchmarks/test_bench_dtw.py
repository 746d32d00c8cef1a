import json

from tests.benchmarks.bench_dtw import main


def test_the_benchmark_prints_one_json_object_with_every_candidate(capsys):
    figures = main(["--quick", "--json"])
    printed = capsys.readouterr().out
    assert json.loads(printed) == figures
    assert printed.count("\n") == 1
    rates = figures["cells_per_second"]
    ours = ("limit", "vector_kernel", "vector", "plain", "dependent")
    for name in (*ours, "tslearn", "tslearn_kernel"):
        assert rates[name] > 0
    for name in ("dtaidistance", "aeon"):  # measured, or named as missing
        assert str(rates[name]).startswith("not installed") or rates[name] > 0
    assert figures["share_of_limit"]["vector"] == rates["vector"] / rates["limit"]
    assert figures["vector_over"]["tslearn"] == rates["vector"] / rates["tslearn"]
    assert figures["peak_mb"] > 0
