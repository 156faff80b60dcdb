"""Rows on comparing batch sizes in a sweep of one's own."""

from bslib.book.cheat_sheet.rules import ANY, NO, OPEN, YES, Basis, Row, Rule

COMPARING = Row(
    "How do I compare sizes fairly?",
    (
        Rule(
            (
                Basis(
                    "2.7",
                    "a fixed learning rate, equal epochs",
                    "whether a sweep at one learning rate and equal epochs finds the best size",
                ),
                Basis(
                    "2.7",
                    "a tuned learning rate, equal epochs",
                    "whether a sweep at tuned rates and equal epochs finds the best size",
                ),
            ),
            {
                (NO, NO): (
                    "Not at one learning rate, nor at equal epochs: both picked another size than "
                    "full tuning did. Tune rate and weight decay at every size, hold steps or the "
                    "time to a target equal, and say which."
                ),
                (NO, YES): (
                    "Tune the learning rate at every size: with one rate for all another size won."
                ),
                (YES, NO): (
                    "Not at equal epochs: with tuned rates they picked another size than full "
                    "tuning did. That one rate for all found it may be luck."
                ),
                (YES, YES): (
                    "Equal epochs found the size that full tuning did, with one rate for all and "
                    "with tuned ones. Still say what was held equal."
                ),
                (NO, ANY): "Not at one learning rate for all: tune it at every size.",
                (ANY, NO): "Not at equal epochs: hold steps or the time to a target equal.",
            },
            "from the winner with rate and weight decay tuned at equal steps, the one at equal "
            "epochs lies {} off with one rate and {} with tuned rates (minus: smaller)",
        ),
    ),
)

WINNER = Row(
    "How sure is a sweep's winner?",
    (
        Rule(
            (
                Basis(
                    "2.7",
                    "a tuned learning rate, equal steps",
                    "whether tuned rates at equal steps find the size that full tuning does",
                ),
            ),
            {
                (YES,): (
                    "With rates tuned and steps equal, sure to an octave here. Still name every "
                    "size that your seeds cannot rule out."
                ),
                (NO,): (
                    "With rates tuned and steps equal another size won than with weight decay "
                    "tuned too: a winner holds for what was tuned."
                ),
                (OPEN,): (
                    "Less than it looks: even with rates tuned and steps equal these runs could "
                    "not tell. Name every size that your seeds cannot rule out, and take the "
                    "cheapest of them."
                ),
            },
            "from the winner with weight decay tuned too, it lies {} off (minus: smaller)",
        ),
    ),
)
