"""Rows on how large a batch may be, and how large is worth it."""

from bslib.book.cheat_sheet.rules import ANY, NO, YES, Basis, Row, Rule, alike

LARGEST = Row(
    "How large may it be at all?",
    (
        Rule(
            tuple(
                Basis(
                    "2.1",
                    f"the {limit} memory limit",
                    f"whether what fits is told beforehand at the {limit} memory limit",
                )
                for limit in ("smallest", "middle", "largest")
            ),
            alike(
                3,
                yes=(
                    "As large as memory holds, which two small steps tell beforehand: confirm it "
                    "with one whole step, and leave a margin."
                ),
                no=(
                    "As large as memory holds, which two small steps did not tell: try whole "
                    "steps at growing sizes, each in a fresh process."
                ),
                mixed=(
                    "As large as memory holds. Two small steps told it at some limits and missed "
                    "at others: take their answer as a first guess, and confirm it."
                ),
            ),
            "the size predicted over the largest that fits, at three limits: {}, {} and {}",
        ),
    ),
)

OUT_OF_MEMORY = Row(
    "Out of memory?",
    (
        Rule(
            (
                Basis(
                    "3.7",
                    "with accumulated micro-batches",
                    "whether accumulation keeps a growing batch from needing more memory",
                ),
                Basis(
                    "1.1",
                    "all examples, accumulated from micro-batches",
                    "whether all the data fit in the memory of one micro-batch",
                ),
            ),
            alike(
                2,
                yes=(
                    "Take a smaller batch: accumulating gradients over micro-batches did not keep "
                    "the memory from growing."
                ),
                no=(
                    "Keep the batch and accumulate its gradient over micro-batches: it takes about "
                    "the memory of one of them, and no less time. Or take the batch that fits, and "
                    "rescale its learning rate."
                ),
                mixed=(
                    "Try accumulating gradients over micro-batches: it kept the memory from "
                    "growing in one test and not in another."
                ),
            ),
            "peak memory is {:doubling of the accumulated batch size}; with all the data in the "
            "batch it is {} times that of one micro-batch",
        ),
        Rule(
            (
                Basis(
                    "3.7",
                    "with recomputed activations",
                    "whether recomputing activations makes an example much cheaper",
                ),
            ),
            {
                (YES,): "Recomputing activations saves little in a network like the one tried.",
                (NO,): (
                    "If one micro-batch is still too much and the network is deep, recompute "
                    "activations: less memory for more computing."
                ),
            },
            "with recomputation an example takes {} of the memory that it takes without",
        ),
    ),
)

SOONER = Row(
    "Does a larger batch finish sooner?",
    (
        Rule(
            (
                Basis(
                    "3.1",
                    "seconds below the fastest batch size",
                    "whether the time to a target falls below the fastest batch size",
                ),
                Basis(
                    "3.1",
                    "seconds above the fastest batch size",
                    "whether the time to a target still falls above the fastest batch size",
                ),
            ),
            {
                (YES, NO): (
                    "Up to the fastest size; beyond it the same loss is reached no sooner, even "
                    "with the learning rate tuned at every size."
                ),
                (YES, YES): "Yes, at every size that was tried, with the learning rate tuned.",
                (NO, YES): "Among large sizes only; among small ones it does not.",
                (NO, NO): "No, at no size that was tried, with the learning rate tuned.",
                (YES, ANY): "Among small sizes it does, with the learning rate tuned.",
                (NO, ANY): "Among small sizes it does not.",
            },
            "the time to a target is {:doubling of the batch size} below the fastest size, and "
            "{:doubling} above it",
        ),
        Rule(
            (
                Basis(
                    "1.2",
                    "mini-batches against the full batch",
                    "whether mini-batches are much faster than all the data at once",
                ),
            ),
            {
                (YES,): "All the data in every step is far slower.",
                (NO,): "All the data in every step is not much slower here.",
            },
            "all the data at once takes {} times as long as the fastest mini-batch",
        ),
    ),
)

FASTEST = Row(
    "Which size is fastest?",
    (
        Rule(
            (
                Basis(
                    "3.1",
                    "steps at small batches",
                    "whether steps fall in proportion at small batches",
                ),
                Basis(
                    "3.1",
                    "steps at large batches",
                    "whether steps still fall at large batches",
                ),
            ),
            {
                (YES, NO): (
                    "Go larger while four times the batch, its rate tuned, needs about a quarter "
                    "of the steps; where it needs nearly as many, you are past the critical batch "
                    "size."
                ),
                (YES, YES): "Steps fall at every size that was tried: go by throughput alone.",
                (NO, YES): (
                    "Steps fall at large sizes, though not in proportion at small ones: compare "
                    "the time to your own target at a few sizes, each with its rate tuned."
                ),
                (NO, NO): (
                    "Larger batches did not buy their worth in steps: stay small unless a larger "
                    "step takes no longer."
                ),
                (YES, ANY): "Among small sizes go larger: steps fall in proportion.",
            },
            "the number of steps is {:doubling of the batch size} among small sizes, and "
            "{:doubling} among large ones",
        ),
        Rule(
            (
                Basis(
                    "1.2",
                    "throughput at small batches",
                    "whether throughput grows with a small batch",
                ),
                Basis(
                    "1.2",
                    "throughput beyond saturation",
                    "whether doubling a large batch still raises throughput",
                ),
            ),
            {
                (YES, NO): (
                    "Stop, too, where doubling hardly adds examples a second: theory puts the "
                    "fastest size at the geometric mean of the critical batch size and the size "
                    "of half the top throughput."
                ),
                (YES, YES): "Doubling still added examples a second at every size tried.",
                (NO, YES): "Examples a second grow at large sizes, and less at small ones.",
                (NO, NO): "Examples a second depend little on the size here.",
                (YES, ANY): "At small sizes a larger batch adds examples a second.",
            },
            "examples a second at 1,024 over those at 8: {}; a doubling when saturated "
            "multiplies them by {}",
        ),
    ),
)
