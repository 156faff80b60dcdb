"""The row on accuracy on test data."""

from bslib.book.cheat_sheet.rules import ANY, NO, YES, Basis, Row, Rule

GENERALISATION = Row(
    "Will a large batch generalise worse?",
    (
        Rule(
            (
                Basis(
                    "2.4",
                    "generalisation at equal epochs",
                    "whether a large batch is worse at equal epochs",
                ),
                Basis(
                    "2.4",
                    "generalisation at equal steps",
                    "whether a large batch is worse in a short training at equal steps",
                ),
            ),
            {
                (YES, NO): (
                    "At equal epochs yes, for want of steps; in a short training at equal steps "
                    "no: give it its steps before you blame it."
                ),
                (YES, YES): "Yes, at equal epochs and at equal steps.",
                (NO, YES): "Not at equal epochs, but at equal steps.",
                (NO, NO): "In a short training no, at equal epochs or at equal steps.",
                (YES, ANY): "At equal epochs yes.",
                (NO, ANY): "At equal epochs no.",
            },
            "the smallest batch leads by {} at equal epochs and by {} in a short training at "
            "equal steps",
        ),
        Rule(
            (
                Basis(
                    "1.3",
                    "a fixed training set, many epochs",
                    "whether a small batch leads with each size's best checkpoint kept",
                ),
            ),
            {
                (NO,): (
                    "Keep the best checkpoint before you blame the batch: where each size kept "
                    "its own, no small batch led by enough to matter."
                ),
                (YES,): "With each size's best checkpoint kept, a small batch still led.",
            },
            "with the best checkpoint kept, the best small batch leads all the data at once by {}",
        ),
        Rule(
            (
                Basis(
                    "2.6",
                    "generalisation at equal training loss",
                    "whether a small batch leads when all stop at one training loss",
                ),
            ),
            {
                (YES,): "Stopped at one training loss, the small batch leads.",
                (NO,): "Stopped at one training loss, the small batch does not lead.",
            },
            "stopped at one training loss, the smallest batch leads the largest by {}",
        ),
        Rule(
            (
                Basis(
                    "3.9",
                    "without weight decay",
                    "whether a gap is left after many passes at equal steps",
                ),
                Basis(
                    "3.9",
                    "with weight decay tuned at each batch size",
                    "whether tuned weight decay closes the gap left after many passes",
                ),
            ),
            {
                (YES, NO): (
                    "After many passes over few examples a gap can be left at equal steps, and "
                    "weight decay tuned at each size does not mend it: add another regulariser, or "
                    "prefer the smaller batch."
                ),
                (YES, YES): (
                    "After many passes over few examples a gap can be left at equal steps, and "
                    "weight decay tuned at each size closes it."
                ),
                (NO, YES): "After many passes at equal steps no gap is left.",
                (NO, NO): (
                    "After many passes at equal steps no gap is left without weight decay; with "
                    "it the sizes differ, so tune it at each."
                ),
                (YES, ANY): "After many passes over few examples a gap can be left at equal steps.",
                (NO, ANY): "After many passes at equal steps no gap is left without weight decay.",
            },
            "after many passes at equal steps the smallest leads by {} without weight decay and by "
            "{} with it tuned",
            nearer={
                (YES, NO): (
                    "After many passes over few examples a gap can be left at equal steps, and "
                    "weight decay alone shrinks it but need not close it: add another "
                    "regulariser, or prefer the smaller batch."
                ),
            },
        ),
        Rule(
            (
                Basis(
                    "1.4",
                    "a small batch at a large learning rate",
                    "whether a small batch regularises at a large learning rate",
                ),
                Basis(
                    "1.4",
                    "a small batch at a small learning rate",
                    "whether a small batch regularises at a small learning rate",
                ),
            ),
            {
                (YES, NO): "As a regulariser a small batch works at a large learning rate only.",
                (YES, YES): "A small batch regularises, at a large learning rate and a small one.",
                (NO, YES): "As a regulariser a small batch works at a small learning rate only.",
                (NO, NO): "Do not count on a small batch as a regulariser.",
                (YES, ANY): "A small batch regularises at a large learning rate.",
                (NO, ANY): "A small batch does not regularise at a large learning rate.",
            },
        ),
    ),
)
