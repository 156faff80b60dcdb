"""Rows on what surrounds the training: devices, data, model, loader."""

from bslib.book.cheat_sheet.rules import ANY, NO, YES, Basis, Row, Rule, alike

TIME_FIRST = (
    "Time one step and one all-reduce first: if the exchange is not much shorter, fewer workers "
    "are faster."
)

WORKERS = Row(
    "Several GPUs, or a slow network?",
    (
        Rule(
            (
                Basis(
                    "1.5",
                    "two workers at the largest local batch",
                    "whether two workers beat one with a large local batch",
                ),
                Basis(
                    "1.5",
                    "two workers at the smallest local batch",
                    "whether two workers beat one with a small local batch",
                ),
            ),
            {
                (YES, NO): (
                    f"{TIME_FIRST} Two workers beat one with a large local batch, and not with a "
                    "small one: give each enough to do."
                ),
                (YES, YES): (
                    f"{TIME_FIRST} Two workers beat one at the largest and at the smallest local "
                    "batch."
                ),
                (NO, YES): (
                    f"{TIME_FIRST} Two workers beat one with a small local batch, not with a large "
                    "one."
                ),
                (NO, NO): f"{TIME_FIRST} Do not count on a second worker: two did not beat one.",
                (YES, ANY): f"{TIME_FIRST} Two workers beat one where the local batch is large.",
                (NO, ANY): f"{TIME_FIRST} With a large local batch two workers did not beat one.",
            },
            "two workers process {} times the examples of one at the largest local batch, {} "
            "times at the smallest",
        ),
        Rule(
            (
                Basis(
                    "2.9",
                    "the cost of communication",
                    "whether a slower network makes a larger batch the fastest",
                ),
                Basis(
                    "2.9",
                    "the number of workers",
                    "whether more workers make a larger batch the fastest",
                ),
                Basis(
                    "2.9",
                    "the cost model",
                    "whether the cost model behind this holds where it was not fitted",
                ),
            ),
            {
                (ANY, ANY, NO): (
                    "How the fastest size moves with workers and network is not known: the cost "
                    "model missed where it was not fitted."
                ),
                (YES, YES, ANY): (
                    "By a fitted cost model more workers, and a slower network, each call for a "
                    "larger global batch."
                ),
                (YES, NO, ANY): (
                    "By a fitted cost model a slower network calls for a larger global batch, and "
                    "more workers do not."
                ),
                (NO, YES, ANY): (
                    "By a fitted cost model more workers call for a larger global batch, and a "
                    "slower network does not."
                ),
                (NO, NO, ANY): (
                    "By a fitted cost model neither more workers nor a slower network call for a "
                    "larger global batch."
                ),
            },
            "the fastest size moves by {0} from a fast network to a slow one, and by {1} from 1 "
            "worker to 64 (in proportion would be 6)",
            fitted=True,
        ),
        Rule(
            (
                Basis(
                    "3.5",
                    "goodput",
                    "whether the largest batch makes the most progress a second",
                ),
            ),
            {
                (YES,): "The largest batch tried made the most progress a second.",
                (NO,): (
                    "Judge by the time to a target, not by examples a second: the largest batch "
                    "made less progress a second than a smaller one."
                ),
            },
        ),
    ),
)

DATA_AND_MODEL = Row(
    "More data, or a larger model?",
    (
        Rule(
            (
                Basis(
                    "2.2",
                    "one target for every data size",
                    "whether more data make a smaller batch useful at one target",
                ),
                Basis(
                    "2.2",
                    "a target relative to each data size's best",
                    "whether more data make a smaller batch useful at a target of their own",
                ),
            ),
            alike(
                2,
                yes="With more data try a smaller batch.",
                no=(
                    "More data do not call for a smaller batch: keep the size, and for several "
                    "times the data, aiming for a lower loss, try twice that."
                ),
                mixed=(
                    "Whether more data call for a smaller batch depends on the loss aimed for: "
                    "compare at your own."
                ),
            ),
            "the critical batch size goes with the number of examples by a power that depends on "
            "the range (over the sizes tried {:roughly} at one target, {:roughly} at a target "
            "relative to each data size's best)",
        ),
        Rule(
            (
                Basis(
                    "2.3",
                    "what fits in memory",
                    "whether fewer examples fit beside a larger model",
                ),
                Basis(
                    "2.3",
                    "what training can use",
                    "whether a larger model can use only a smaller batch",
                ),
            ),
            {
                (YES, NO): (
                    "A wider model shrinks what fits in one piece, but hardly what training can "
                    "use: keep the batch and accumulate."
                ),
                (YES, YES): "A wider model shrinks what fits and what training can use.",
                (NO, YES): "A wider model can use only a smaller batch, though as many fit.",
                (NO, NO): "A wider model is no reason for a smaller batch.",
                (YES, ANY): "A wider model shrinks what fits in one piece.",
                (NO, ANY): "Beside a wider model as many examples fit.",
            },
            "the largest batch that fits is {:doubling of the width}, the critical batch size is "
            "{:doubling}",
        ),
    ),
)

LOADING = Row(
    "Is data loading a reason to go larger?",
    (
        Rule(
            (
                Basis(
                    "3.6",
                    "a loader in the training process",
                    "whether a larger batch loads faster in the training process",
                ),
                Basis(
                    "3.6",
                    "slices of resident data",
                    "whether a larger batch loads faster from resident data",
                ),
                Basis(
                    "3.6",
                    "bytes read",
                    "whether a larger batch reads fewer bytes",
                ),
            ),
            {
                (NO, NO, NO): (
                    "Not with a loader in the training process or with resident data, and no "
                    "fewer bytes are read."
                ),
                (NO, NO, ANY): "Not with a loader in the training process or with resident data.",
                (YES, YES, ANY): "Yes, with a loader in the training process and resident data.",
                (YES, NO, ANY): "With a loader in the training process yes, with resident data no.",
                (NO, YES, ANY): "With resident data yes, with a loader in the training process no.",
            },
            "an epoch in batches of 64 takes {} times as long as in batches of 1,024 with a "
            "loader in the training process, {} times with resident data",
        ),
        Rule(
            (
                Basis(
                    "3.6",
                    "a loader with worker processes",
                    "whether a larger batch loads faster with worker processes",
                ),
            ),
            {
                (YES,): (
                    "With worker processes and cheap examples it can be, since each batch has to "
                    "be handed over: see first whether you need the workers."
                ),
                (NO,): "With worker processes it is none.",
            },
            "{} times with worker processes",
        ),
    ),
)
