"""Rows on what else changes with the batch size: rates and norms."""

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
            "its best value is {:doubling of the batch size} below the critical size (in "
            "proportion it would double), and {:doubling} above it",
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
            "its best value is {:doubling of the batch size} (with the square root it would "
            "be about two fifths)",
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
