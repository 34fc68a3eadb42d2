"""The servers that an experiment names."""

import math
from dataclasses import dataclass, replace

from .. import Usage
from ..units import parse_time_ns


@dataclass(frozen=True)
class Variant:
    """A server that an experiment names: echo-server's `variant` with `options`, or any program's `command`.
    A twin burns `burn_ns` for each request more than the variant that it is the twin of."""

    name: str
    variant: str = ""
    options: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    framing: str | None = None
    holds: str = "any"
    twin_of: str | None = None
    burn_ns: int = 0

    def twin(self, burn):
        return replace(self, name=f"{self.name}+{burn}", twin_of=self.name, burn_ns=parse_time_ns(burn))

    def serves(self, load, connections, threads):
        """Whether the model can hold that many clients at once; every model can serve crr.  A foreign server cannot
        burn a ballast."""
        limit = {"one": 1, "threads": threads, "any": math.inf}[self.holds]
        return load == "crr" or connections <= limit and not (load == "saturation" and self.command)


def named_by(name, document, listed):
    """{name: Variant} with each twin behind its own, and {name: why it cannot be measured here}."""
    variants, unavailable = {}, {}
    for entry in document["variants"]:
        if isinstance(entry, str):
            entry = {"name": entry, "variant": entry}
        if entry["name"] in variants or entry["name"] in unavailable:
            raise Usage(f"experiment {name}: variant '{entry['name']}' is named twice")
        if "command" in entry:
            variants[entry["name"]] = Variant(entry["name"], command=tuple(entry["command"]), framing=entry["framing"],
                                              holds=entry.get("holds", "any"))
            continue
        own = listed.get(entry["variant"])
        if own is None:
            raise Usage(f"experiment {name}: no variant '{entry['variant']}': there are {', '.join(listed)}; or give an "
                        'object with "name", "command" and "framing"')
        if own["unavailable_reason"]:
            unavailable[entry["name"]] = own["unavailable_reason"]
            continue
        variants[entry["name"]] = Variant(entry["name"], entry["variant"], tuple(entry.get("options", ())),
                                          holds=own["holds"])
    for of in document["twins"]:
        if of not in variants and of not in unavailable:
            raise Usage(f"experiment {name}: a twin of '{of}': it is not among the variants")
        if of in variants and variants[of].command:
            raise Usage(f"experiment {name}: a twin of '{of}': a server that is not ours cannot burn a known time")
    return {each.name: each for variant in variants.values() for each in
            (variant, *(variant.twin(burn) for burn in document["burns"] if variant.name in document["twins"]))}, unavailable
