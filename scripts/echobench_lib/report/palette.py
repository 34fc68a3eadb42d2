"""How a report shows its variants: the family, colour and place of each, as its model described itself when it was
measured (`models` of a result)."""

from collections.abc import Iterable
from dataclasses import replace

from ..result import Result
from ..result.model import ExperimentVariant, Model

OTHERS = "others"  # the family of servers that are not ours, and of results that describe no models
_COLOURS = ("#00838f", "#c62828", "#5d7a00", "#37618e", "#8e24aa", "#00695c", "#9a5b00", "#ad1457", "#4e6b52",
            "#283593", "#795548", "#d05a00")  # of those that have none, in turn


class Palette:
    """`models` in the order of the programs' lists; `entries` say which of them an experiment gave another name."""

    def __init__(self, models: Iterable[Model] = (), entries: Iterable[ExperimentVariant] = ()) -> None:
        self._models = {model.name: model for model in models}
        self._models |= {entry.name: replace(self._models[entry.variant], colour=None) for entry in entries
                         if entry.variant in self._models and entry.name not in self._models}
        self._places = {name: place for place, name in enumerate(self._models)}

    @classmethod
    def of(cls, result: Result) -> "Palette":
        return cls(result.models, result.experiment.variants)

    def family(self, variant: str) -> str:
        """NAME@THREADS and the control NAME+TIME are of the family of NAME."""
        model = self._models.get(variant.split("@")[0].split("+")[0])
        return model.family if model else OTHERS

    def place(self, variant: str) -> int:
        """In lists and legends; servers that are not ours come last."""
        return self._places.get(variant, len(self._places))

    def colours(self, variants: Iterable[str]) -> dict[str, str]:
        """{variant: colour}, the same in every chart and report; NAME@THREADS has that of NAME."""
        chosen: dict[str, str] = {}
        further = 0
        for variant in variants:
            name = variant.split("@")[0]
            model = self._models.get(name)
            colour = chosen.get(name) or model and model.colour
            if not colour:
                colour = _COLOURS[further % len(_COLOURS)]
                further += 1
            chosen[variant] = colour
        return chosen
