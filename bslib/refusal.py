"""The one error that means "your input, not our bug"."""


class Refusal(ValueError):
    """Input that cannot be served: names the rule, the value and the way out.

    The command line prints its message without a traceback and exits with status 2;
    a notebook's check cell lets it stand as the cell's error.
    """
