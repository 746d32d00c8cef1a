from tests.benchmarks.bench_live import measure


def test_the_benchmark_times_every_model():
    found = measure(20, n_network=6, hours=6)
    assert len(found["milliseconds"]) == 5
    assert all(ms > 0 for model in found["milliseconds"].values() for ms in model.values())
