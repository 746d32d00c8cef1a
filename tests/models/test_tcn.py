"""The network sees the past only, and nothing of the padding."""

import pytest
import torch

from sepsis.models.tcn import TCN


@pytest.fixture
def tcn():
    torch.manual_seed(0)
    return TCN(3, hidden=6, levels=3, kernel_size=3).double().eval()


def series(batch=2, hours=20, seed=1):
    return torch.randn(batch, 3, hours, generator=torch.Generator().manual_seed(seed)).double()


def test_changing_the_future_changes_no_earlier_output(tcn):
    x, later = series(), series()
    later[:, :, 12:] += 5.0
    before, after = tcn.blocks(x), tcn.blocks(later)
    assert torch.equal(before[:, :, :12], after[:, :, :12])
    assert not torch.allclose(before[:, :, 12:], after[:, :, 12:])


def test_the_answer_is_read_at_the_stays_own_last_hour(tcn):
    x = series(batch=3)
    together = tcn(x, torch.tensor([19, 11, 0]))
    for row, last in enumerate([19, 11, 0]):
        alone = tcn(x[row : row + 1, :, : last + 1], torch.tensor([last]))
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-12, rtol=0)


def test_what_stands_in_the_padding_does_not_matter(tcn):
    x = series()
    filled = x.clone()
    filled[1, :, 8:] = 1e6
    last = torch.tensor([19, 7])
    torch.testing.assert_close(tcn(x, last), tcn(filled, last), atol=1e-12, rtol=0)


def test_the_receptive_field_is_as_long_as_it_says():
    torch.manual_seed(0)
    tcn = TCN(3, hidden=6, levels=2, kernel_size=3).double().eval()
    assert tcn.receptive_field_h == 13
    x = series(batch=1, hours=20).requires_grad_()
    tcn(x, torch.tensor([19])).backward()
    reached = x.grad[0].abs().sum(0) > 0
    assert not reached[: 20 - 13].any()
    assert reached[20 - 13]
    assert reached[19]


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    tcn = TCN(3, hidden=6, levels=2, kernel_size=3, dropout=0.5).double()
    x, last = series(), torch.tensor([19, 19])
    assert not torch.equal(tcn(x, last), tcn(x, last))
    tcn.eval()
    assert torch.equal(tcn(x, last), tcn(x, last))
