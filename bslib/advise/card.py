"""An advice as a card in a notebook, in the manner of the verdicts' cards."""

from dataclasses import dataclass
from html import escape
from typing import Any

from bslib.advise import guidance, plain, words
from bslib.advise.advice import Advice
from bslib.claims import palette

_CARD = (
    f"color:{palette.TEXT};background:{palette.GROUND};border:1px solid {palette.EDGE};"
    "border-radius:.4em;padding:.8em 1em;margin:.5em 0;max-width:46em;line-height:1.45;"
    "overflow-wrap:anywhere;text-align:left"
)
_FAINT = "font-size:.88em;opacity:.85"


@dataclass(frozen=True)
class Card:
    """What a notebook shows of an advice: its headline, the reason, what goes along with it."""

    advice: Advice

    def html(self) -> str:
        """Return the card as HTML that needs no style sheet."""
        advice = self.advice
        color = palette.LINE["supported" if advice.certain else "inconclusive"]
        asked = advice.asked
        headline = escape(words.headline(advice))
        said = {"How sure": words.sureness(advice), **guidance.to_do(advice)}
        measured_on = (
            f"{asked.target}, {asked.device}, {advice.examples:,} examples in "
            f"{asked.seconds:.1f} s, seed {asked.seed}"
        )
        parts = [
            _block(f"<strong>{headline}</strong>", "font-size:1.3em;margin:0 0 .4em"),
            _block(escape(" ".join(words.reason(advice)))),
            *[_said(f"{about}.", text, "margin-top:.6em") for about, text in said.items()],
            _said("Not measured:", "; ".join(advice.not_measured), f"{_FAINT};margin-top:.8em"),
            _said("Measured on:", measured_on, _FAINT),
        ]
        return (
            f'<div class="bs-advice" role="group" aria-label="{headline}" '
            f'style="{_CARD};border-left:.4em solid {color}">{"".join(parts)}</div>'
        )

    def text(self) -> str:
        """Return the advice as plain text."""
        return plain.text(self.advice)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": self.text()}


def show(advice: Advice) -> Card:
    """Return the card of an advice, as the last thing in a notebook's cell."""
    return Card(advice)


def _said(about: str, text: str, style: str) -> str:
    return _block(f"<strong>{escape(about)}</strong> {escape(text)}", style)


def _block(content: str, style: str = "") -> str:
    return f'<div style="{style}">{content}</div>' if style else f"<div>{content}</div>"
