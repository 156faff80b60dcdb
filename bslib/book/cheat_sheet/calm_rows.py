"""The row on a training that swings."""

from bslib.book.cheat_sheet.rules import ANY, NO, YES, Basis, Row, Rule

JUMPY = Row(
    "My loss is jumpy. A larger batch?",
    (
        Rule(
            (
                Basis(
                    "1.6",
                    "a network at a fixed learning rate",
                    "whether a larger batch calms a network at the same rate",
                ),
                Basis(
                    "1.6",
                    "a network at a learning rate scaled with the batch size",
                    "whether a larger batch calms a network with the rate scaled",
                ),
                Basis(
                    "3.8",
                    "stability of a large batch",
                    "whether a large batch swings less at a higher rate than at a lower one",
                ),
            ),
            {
                (YES, NO, NO): (
                    "Lower the learning rate first: a larger batch calms only at the same rate, "
                    "and not with the rate raised in proportion."
                ),
                (NO, NO, NO): "Lower the learning rate: a larger batch does not calm.",
                (YES, NO, ANY): (
                    "A larger batch calms at the same rate, and not with the rate raised in "
                    "proportion."
                ),
                (YES, YES, ANY): (
                    "A larger batch calms, at the same rate and with the rate raised in proportion."
                ),
                (NO, YES, ANY): (
                    "A larger batch calms with the rate raised in proportion, and not at the same "
                    "rate."
                ),
                (NO, NO, ANY): (
                    "A larger batch does not calm, at the same rate or with the rate raised."
                ),
                (YES, ANY, ANY): "A larger batch calms at the same rate.",
                (NO, ANY, ANY): "A larger batch does not calm at the same rate.",
                (ANY, NO, ANY): "A larger batch does not calm with the rate raised in proportion.",
                (ANY, ANY, NO): "Lower the learning rate first.",
            },
            "the swings of the full loss are {0:doubling of the batch size} at the same rate, and "
            "{1:doubling} with the rate scaled; at the small batch's rate those of a large batch "
            "are {2} times those at the scaled rate",
        ),
        Rule(
            (
                Basis(
                    "3.4",
                    "displayed mini-batch loss",
                    "whether the loss that is plotted is smoother at a larger batch",
                ),
                Basis(
                    "3.4",
                    "full loss at a learning rate scaled with the batch size",
                    "whether the full loss is smoother with the rate scaled",
                ),
            ),
            {
                (YES, NO): (
                    "The mini-batch loss plots smoother even so: judge by the loss on one fixed "
                    "set."
                ),
                (YES, YES): "The mini-batch loss plots smoother, and the full loss is smoother.",
                (NO, YES): "The full loss is smoother, though the mini-batch loss is not.",
                (NO, NO): "Neither the mini-batch loss nor the full loss is smoother.",
                (YES, ANY): (
                    "The mini-batch loss plots smoother whatever the training does: judge by the "
                    "loss on one fixed set."
                ),
                (NO, ANY): "The mini-batch loss does not plot smoother.",
            },
        ),
        Rule(
            (
                Basis(
                    "3.3",
                    "in mid-training",
                    "whether the gradient's noise falls in proportion to the batch",
                ),
            ),
            {
                (YES,): "What a larger batch surely does is to steady each gradient.",
                (NO,): "The gradient's variance does not fall as one over the batch size.",
            },
            "the gradient's variance in mid-training is {:doubling of the batch size}",
        ),
    ),
)
