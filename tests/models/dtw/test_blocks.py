import json

import numpy as np
import pytest

from sepsis.core.errors import UsageError
from sepsis.models.dtw import blocks as dtw_blocks
from sepsis.models.dtw.blocks import distances, estimate, stored_distances
from sepsis.models.dtw.distance import nearest
from sepsis.models.dtw.sweep import Warping
from tests.models.dtw.test_kernels import made_up

KINDS = (Warping(), Warping(together=True, length_normalise=True), Warping(radius=2))


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_blocks_hold_what_the_nearest_are_taken_from(how, monkeypatch):
    queries, train = made_up(1, n_queries=7)
    monkeypatch.setattr(dtw_blocks, "BLOCK_MB", 0)  # one query a block
    blocks = list(distances(queries, train, how))
    assert [(begin, end) for begin, end, _ in blocks] == [(b, b + 1) for b in range(7)]
    together = np.concatenate([block for _, _, block in blocks])
    found = nearest(
        queries,
        train,
        20,
        metric="dependent" if how.together else "independent",
        radius_h=None if how.radius < 0 else how.radius,
        length_normalise=how.length_normalise,
    )
    ordered = np.sort(np.where(np.isnan(together), np.inf, together), axis=-1)
    assert np.array_equal(ordered, found.distance)


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(how, tmp_path, monkeypatch):
    queries, train = made_up(2, n_queries=6)
    monkeypatch.setattr(dtw_blocks, "BLOCK_MB", 0)
    whole = stored_distances(tmp_path / "whole.npy", queries, train, how)

    def cut(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored_distances(tmp_path / "cut.npy", queries, train, how, progress=cut)
    seen = []
    again = stored_distances(
        tmp_path / "cut.npy", queries, train, how, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(4, 6), (5, 6), (6, 6)]
    assert np.array_equal(whole, again, equal_nan=True)
    assert (tmp_path / "cut.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert json.loads((tmp_path / "cut.npy.json").read_text())["done"] == 6


def test_a_file_begun_with_other_series_or_settings_is_not_continued(tmp_path):
    queries, train = made_up(3)
    stored_distances(tmp_path / "d.npy", queries, train)
    _, other = made_up(4)
    for train_, how in ((other, Warping()), (train, Warping(radius=1))):
        with pytest.raises(UsageError, match="other series or settings"):
            stored_distances(tmp_path / "d.npy", queries, train_, how)


def test_an_estimate_counts_cells_and_bytes():
    queries, train = made_up(5)
    told = estimate(queries, train)
    rows = queries.length.max(axis=1).sum()
    assert told.cells == rows * train.series.offsets[-1] * 3
    assert told.n_bytes == 4 * queries.length.size * 3 * 20
    assert told.seconds > 0
    assert estimate(queries, train, Warping(together=True)).n_bytes == 4 * queries.length.size * 20
