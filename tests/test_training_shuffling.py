"""The order of examples: each member's own, from its seed."""

import pytest
import torch

from bslib.training.shuffling import Shuffle

CPU = torch.device("cpu")


def batches(shuffle, count):
    return [shuffle.next(1)[0] for _ in range(count)]


@pytest.mark.parametrize("batch_size", [1, 4, 7, 9])
def test_an_epoch_visits_every_example_once(batch_size):
    """Without replacement the batches of an epoch are a permutation, for each member."""
    shuffle = Shuffle(10, batch_size, [1, 2], CPU)
    for _ in range(3):
        epoch = torch.cat(batches(shuffle, shuffle.epoch_steps), dim=1)
        assert torch.equal(epoch.sort(dim=1).values, torch.arange(10).expand(2, -1))


def test_epochs_members_and_seeds_differ_and_repeat():
    """One seed gives one stream, whoever stands beside it; two seeds or epochs differ."""
    first = torch.cat(batches(Shuffle(64, 16, [1, 2], CPU), 8), dim=1)
    again = torch.cat(batches(Shuffle(64, 16, [2, 5, 1], CPU), 8), dim=1)
    assert torch.equal(first[0], again[2])
    assert torch.equal(first[1], again[0])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0, :64], first[0, 64:])


def test_the_full_batch_has_no_order():
    """At a batch size of all examples there is nothing to draw."""
    shuffle = Shuffle(10, 10, [1], CPU)
    assert batches(shuffle, 3) == [None] * 3
    assert shuffle.seen(3) == 30


def test_with_replacement_draws_are_uniform_and_repeat():
    """Counts over 10 values in n draws stay within five standard errors; batches repeat some."""
    shuffle = Shuffle(10, 10, [3], CPU, replacement=True)
    drawn = torch.cat(batches(shuffle, 2000), dim=1)[0]
    share = torch.bincount(drawn, minlength=10) / len(drawn)
    assert (share - 0.1).abs().max() < 5 * (0.1 * 0.9 / len(drawn)) ** 0.5
    assert any(len(batch[0].unique()) < 10 for batch in batches(shuffle, 5))


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_sizes_are_as_foretold(batch_size, drop_last, replacement):
    """``size``, ``seen`` and ``steps_for`` agree with the batches that come."""
    shuffle = Shuffle(10, batch_size, [1], CPU, drop_last=drop_last, replacement=replacement)
    sizes = [10 if batch is None else batch.shape[1] for batch in batches(shuffle, 25)]
    assert sizes == [shuffle.size(step) for step in range(25)]
    for step in range(25):
        assert shuffle.seen(step) == sum(sizes[:step])
    for examples in range(1, sum(sizes) + 1):
        enough = next(step for step in range(26) if sum(sizes[:step]) >= examples)
        assert shuffle.steps_for(examples) == enough


def test_members_that_leave_do_not_disturb_the_order():
    """Half way through an epoch and after it, those that stay go on as before."""
    left, stayed = Shuffle(10, 3, [1, 2, 3], CPU), Shuffle(10, 3, [1, 2, 3], CPU)
    batches(left, 2), batches(stayed, 2)
    left.keep([0, 2])
    for ours, theirs in zip(batches(left, 9), batches(stayed, 9), strict=True):
        assert torch.equal(ours, theirs[[0, 2]])


def test_several_batches_at_a_time_are_the_same_ones():
    """A run of batches is what one by one gives; it ends where the size changes."""
    single, several = Shuffle(10, 3, [1, 2], CPU), Shuffle(10, 3, [1, 2], CPU)
    for asked, given in ((2, 2), (5, 1), (5, 1), (5, 3)):
        run = several.next(asked)
        assert len(run) == given
        for ours, theirs in zip(run, batches(single, given), strict=True):
            assert torch.equal(ours, theirs)
