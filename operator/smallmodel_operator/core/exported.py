"""What gateways export of models with an objective: the numbers of `GET /signals`, as metrics. Values only.

Gateways write it and the operator reads it back from Prometheus, so both have the names from here. A model's series are
all there from its first scrape on, with 0 where nothing was counted: one that is missing says nothing, and is not zero.
"""

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "smallmodel_gateway_objective_"
"""Of every metric here."""
BUILD: Final = "smallmodel_gateway_build_info"
"""One series for each gateway, whose label `gateway` is its pod's name."""
BIN: Final = "bin"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a model, with labels `namespace` and `model`.

    Args:
        name: as it is scraped.
        path: where it is in what `GET /signals` says of a model.
        text: what it is.
        counter: it only grows, until the model's epoch changes.
    """

    name: str
    path: tuple[str, ...]
    text: str
    counter: bool = True


def _gauge(name: str, path: str, text: str) -> Metric:
    return Metric(PREFIX + name, tuple(path.split(".")), text, counter=False)


def _counter(name: str, path: str, text: str) -> Metric:
    return Metric(f"{PREFIX}{name}_total", ("objective", *path.split(".")), text)


EPOCH: Final = _gauge("epoch", "objective.epoch", "When counting began, as a number; another one: counted anew.")
METRICS: Final = (
    _gauge("requests_in_flight", "inFlight", "Requests that pass to pods of a model with an objective now."),
    _gauge("held_requests", "held", "Requests held now until the model is ready."),
    EPOCH,
    _gauge("first_token_bound_seconds", "objective.firstTokenSeconds", "A first token within is good; 0: not asked."),
    _gauge("inter_token_bound_seconds", "objective.interToken.seconds", "The same of the time between tokens."),
    _gauge("end_to_end_bound_seconds", "objective.endToEnd.seconds", "The same of the whole answer."),
    _counter("ended", "ended", "Requests that are over, however they ended; not those the gateway refused itself."),
    _counter("first_token_counted", "counted", "Of those that ended, what first tokens are judged by."),
    _counter("first_token_good", "good", "Of those, within the bound."),
    _counter("inter_token_counted", "interToken.counted", "What the time between tokens is judged by."),
    _counter("inter_token_good", "interToken.good", "Of those, within the bound."),
    _counter("end_to_end_counted", "endToEnd.counted", "What whole answers are judged by."),
    _counter("end_to_end_good", "endToEnd.good", "Of those, within the bound."),
    _counter("whole", "whole", "Answers that were complete and whose engine said how many tokens they took."),
    _counter("prompt_tokens", "promptTokens", "Tokens of prompts the engine read for complete answers."),
    _counter("generated_tokens", "generatedTokens", "Tokens generated in complete answers."),
    _counter("decode_seconds", "decodeSeconds", "Seconds between first and last token of complete streams."),
    _counter("decode_tokens", "decodeTokens", "Tokens generated in those seconds."),
)
BINNED: Final = (
    _counter("prompts", "prompts", "Complete answers by the length of their prompt, bins a fourth of an octave wide."),
    _counter("written", "written", "Complete answers by their own length, in the same bins."),
)
"""With a label `bin` beside; bins that hold none have no series."""


def epoch_number(epoch: str) -> int:
    """An epoch's word (`<milliseconds>.<number>`) as a number a metric can carry: below 2**53, another one for another
    word, as long as no process counts a thousand models anew within a millisecond of its start."""
    began, _, number = epoch.partition(".")
    return int(began) * 1000 + int(number or 0)
