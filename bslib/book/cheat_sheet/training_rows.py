"""Rows on what else changes with the batch size: rates, norms, accuracy."""

from bslib.book.cheat_sheet.rules import ANY, NO, YES, Basis, Row, Rule

LEARNING_RATE = Row(
    "Does the learning rate change with it?",
    (
        Rule(
            (
                Basis(
                    "2.5",
                    "SGD well below the critical batch size",
                    "whether plain SGD's rate grows with the batch below the critical size",
                ),
                Basis(
                    "2.5",
                    "SGD well above the critical batch size",
                    "whether plain SGD's rate grows with the batch above the critical size",
                ),
            ),
            {
                (YES, NO): (
                    "With plain SGD scale it with the batch below the critical batch size, and try "
                    "half and twice that; well above, leave it."
                ),
                (YES, YES): (
                    "With plain SGD scale it with the batch, below the critical batch size and "
                    "above it."
                ),
                (NO, YES): (
                    "With plain SGD leave it below the critical batch size, and scale it with the "
                    "batch well above."
                ),
                (NO, NO): "Plain SGD's best rate did not grow with the batch: leave it.",
                (YES, ANY): (
                    "With plain SGD scale it with the batch below the critical batch size."
                ),
                (NO, ANY): "With plain SGD leave it below the critical batch size.",
            },
            "its best value goes with the batch size to the power {} below the critical size (in "
            "proportion would be 1) and {} above it",
        ),
        Rule(
            (
                Basis(
                    "3.8",
                    "retuning below the critical batch size",
                    "what a rate carried over costs below the critical batch size",
                ),
                Basis(
                    "3.8",
                    "retuning above the critical batch size",
                    "what a rate carried over costs above the critical batch size",
                ),
            ),
            {
                (YES, NO): (
                    "A rate carried over from a very different size costs accuracy below the "
                    "critical size, and little above."
                ),
                (YES, YES): "A rate carried over from a very different size costs accuracy.",
                (NO, YES): (
                    "A rate carried over from a very different size costs accuracy above the "
                    "critical size, and little below."
                ),
                (NO, NO): "A rate carried over from another size costs little.",
                (YES, ANY): "A rate carried over costs accuracy below the critical size.",
                (NO, ANY): "A rate carried over costs little below the critical size.",
            },
            "a rate carried over loses {} below the critical size, {} above",
        ),
        Rule(
            (
                Basis(
                    "3.8",
                    "stability of a large batch",
                    "whether a large batch needs a larger rate to be stable",
                ),
            ),
            {
                (YES,): "A large batch fluctuates more without it: raise it for stability too.",
                (NO,): "Stability is no reason to raise it.",
            },
        ),
    ),
)

ADAM = Row(
    "And with Adam?",
    (
        Rule(
            (
                Basis(
                    "2.5",
                    "AdamW well below the critical batch size",
                    "whether AdamW's rate grows with the batch below the critical size",
                ),
            ),
            {
                (YES,): (
                    "With AdamW too, below the critical batch size: start from the square root of "
                    "the change in size, and try half and twice that; above it was not judged."
                ),
                (NO,): "AdamW's best rate did not grow with the batch: leave it.",
            },
            "its best value goes with the batch size to the power {} (the square root would be "
            "1/2)",
        ),
    ),
)

BATCH_NORM = Row(
    "Batch norm?",
    (
        Rule(
            (
                Basis(
                    "2.8",
                    "batch norm's dependence on the batch",
                    "whether batch norm suffers from small batches",
                ),
                Basis(
                    "2.8",
                    "more batch-norm layers at a small batch",
                    "whether more batch-norm layers help at a small batch",
                ),
            ),
            {
                (YES, NO): (
                    "It needs many examples to normalise over, in every device's micro-batch, and "
                    "accumulation does not help. Where only a few fit, take group or layer norm, "
                    "and not more batch-norm layers."
                ),
                (YES, YES): (
                    "It needs many examples to normalise over, in every device's micro-batch. "
                    "Where only a few fit, more batch-norm layers helped; group or layer norm "
                    "does not look at the batch at all."
                ),
                (NO, YES): (
                    "It did not suffer from a small batch, and more batch-norm layers helped."
                ),
                (NO, NO): (
                    "It did not suffer from a small batch, and more batch-norm layers did not help."
                ),
                (YES, ANY): (
                    "It needs many examples to normalise over: where only a few fit, take group "
                    "or layer norm."
                ),
                (NO, ANY): "It did not suffer from a small batch.",
                (ANY, NO): "More batch-norm layers did not help at a small batch.",
            },
            "from the smallest batch to the largest it gains {} on group norm; a further "
            "batch-norm layer at a small batch adds {}",
        ),
    ),
)

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
                    "weight decay alone need not close it: add another regulariser, or prefer the "
                    "smaller batch."
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
            "after many passes at equal steps it leads by {} without weight decay and by {} with "
            "it tuned",
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
