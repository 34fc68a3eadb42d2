"""The servers that an experiment names: ours, by the names that they list; those in other runtimes, by theirs; any
other, by its command line."""

import math
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .. import REPOSITORY, Usage, documents
from ..documents import Json
from ..units import parse_share, parse_time_ns

SCHEMA_FILE = REPOSITORY / "scripts" / "experiments" / "experiment.schema.json"
OTHER_RUNTIMES_FILE = REPOSITORY / "servers" / "other_runtimes" / "other_runtimes.json"
ALL = "all"  # of an experiment's variants: every one of ours
NEED_S = 60  # a command that checks whether a server can run here has ended by then
Framing = Literal["frame", "line", "raw"]
Holds = Literal["one", "threads", "any"]  # how many clients a server serves at a time
HOLDS: dict[Holds, str] = {
    "one": "one client at a time", "threads": "one client per thread or process", "any": "any number of clients"}


@dataclass(frozen=True)
class Variant:
    """A server that an experiment names: one of our programs' `variant` with `options`, or any program's `command`.
    A control burns `burn_ns`, or a share of its cost, more for each request than the variant `control_of`."""

    name: str
    variant: str = ""
    program: str = "echo-server"
    build: Path | None = None  # its build folder; None: the one that is measured
    options: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    announces: bool = False  # a foreign server that prints echo-server's listening line
    framing: Framing | None = None  # None: all of them
    holds: Holds = "any"
    threads: int | None = None     # instead of the placement's
    cores: int | None = None       # of the servers' cores; None: all
    scaled_of: str | None = None   # the variant that this is, with another number of threads, on as many cores
    control_of: str | None = None
    burn_ns: int = 0
    burn_share: float | None = None  # of what a request costs the variant `control_of`; None: burn_ns is known

    @property
    def family(self) -> str:
        """The name of the variant that this is a control or a scaling step of; its own otherwise."""
        return self.scaled_of or self.control_of or self.name

    @property
    def is_foreign(self) -> bool:
        return self.command is not None

    def control(self, burn: str) -> "Variant":
        """Its control, which burns a time (`1us`) or a share of its cost (`20%`)."""
        control = replace(self, name=f"{self.name}+{burn}", control_of=self.name)
        if burn.endswith("%"):
            return replace(control, burn_share=parse_share(burn))
        return replace(control, burn_ns=parse_time_ns(burn))

    def refuses(self, load: str, connections: int, threads: int, ops: Sequence[str] = (),
                framing: Framing | None = None) -> str:
        """Why the server is left out of a load with that many clients that ask for `ops`, in that framing if the load
        names one: a clause without its subject; empty if it is not left out.  Every model can serve crr."""
        if any(asks in op for op in ops for asks in ("work", "sleep", "mix")) and self.framing not in (None, "frame"):
            return f"speaks only {self.framing}, in which work and sleep cannot be requested"
        if framing and self.framing not in (None, framing):
            return f"speaks only {self.framing}, and the load uses {framing}"
        if load == "saturation" and self.is_foreign:
            return "cannot burn added work"
        limit = {"one": 1, "threads": self.threads or threads, "any": math.inf}[self.holds]
        return f"serves {HOLDS[self.holds]}" if load != "crr" and connections > limit else ""


def other_runtimes() -> dict[str, Json]:
    """{name: entry} of the servers in other runtimes, as an experiment would give them; empty where there are none."""
    if not OTHER_RUNTIMES_FILE.exists():
        return {}
    entries = documents.read(OTHER_RUNTIMES_FILE)
    documents.check(entries, SCHEMA_FILE, OTHER_RUNTIMES_FILE, "servers")
    return {entry["name"]: entry for entry in entries}


def descriptions(listing: Iterable[Json]) -> tuple[Json, ...]:
    """What our programs' variants say of themselves, without what depends on the host."""
    return tuple({key: value for key, value in entry.items() if key not in ("unavailable_reason", "program")}
                 for entry in listing)


def resolve(name: str, entries: Sequence[str | Json], listed: Mapping[str, Json]) -> list[Json]:
    """The experiment's entries as objects.  `all` is every one of `listed`, {name: what our programs list};
    another plain name is one of them, else of the other runtimes.  Raises Usage for a name that is unknown, or given
    twice."""
    known = other_runtimes()
    resolved: list[Json] = []
    given_names = Counter(map(_name, entries))
    if twice := next((given for given, times in given_names.items() if times > 1), None):
        raise Usage(f"experiment {name}: variant '{twice}' is named twice")
    for given in _with_all(entries, listed):
        if isinstance(given, str):
            entry = {"name": given, "variant": given} if given in listed or given not in known else known[given]
        else:
            entry = given
        if "variant" in entry and entry["variant"] not in listed:
            raise Usage(f"experiment {name}: no variant '{entry['variant']}': there are {', '.join(listed)}"
                        + (f"; other runtimes {', '.join(known)}" if known else "")
                        + _not_built(entry["variant"], listed)
                        + '; or give an object with "name", "command" and "framing"')
        resolved.append(entry)
    return resolved


def _with_all(entries: Sequence[str | Json], listed: Iterable[str]) -> list[str | Json]:
    """With every listed name in the place of `all`; an entry of such a name stands there instead of elsewhere."""
    if ALL not in entries:
        return list(entries)
    named = {_name(entry): entry for entry in entries}
    ours = [named.pop(name, name) for name in listed]
    return [member for entry in named.values() for member in (ours if entry == ALL else [entry])]


def _not_built(variant: str, listed: Mapping[str, Json]) -> str:
    second = "echo-server-uring"
    built = any(entry["program"] == second for entry in listed.values())
    return "" if built or not variant.endswith("-uring") else f" ({second} is not in this build)"


def _name(entry: str | Json) -> str:
    return entry if isinstance(entry, str) else entry["name"]


def available(name: str, document: Json, listed: Mapping[str, Json],
              cores: int) -> tuple[dict[str, Variant], dict[str, str]]:
    """{name: Variant} of the document's resolved entries with each control after its own, and {name: why it cannot be
    measured here}.  `cores` is how many the servers have, which limits how many threads one is scaled to.  Raises Usage
    where a control cannot be had."""
    variants: dict[str, Variant] = {}
    unavailable: dict[str, str] = {}
    for entry in document["variants"]:
        if reason := unmet(entry) if "command" in entry else listed[entry["variant"]]["unavailable_reason"]:
            unavailable[entry["name"]] = reason
        else:
            steps = _scaled(_variant(entry, listed), entry.get("threads"), cores)
            variants |= {variant.name: variant for variant in steps}
    for base in document["controls"]:
        if base not in variants and base not in unavailable:
            raise Usage(f"experiment {name}: controls: '{base}' is not among the variants")
        if base in variants and variants[base].is_foreign:
            raise Usage(f"experiment {name}: controls: '{base}' is not one of our servers, and cannot burn a known "
                        "time")
    with_controls: dict[str, Variant] = {}
    for variant in variants.values():
        burns = document["burns"] if variant.name in document["controls"] else ()
        with_controls |= {member.name: member for member in (variant, *map(variant.control, burns))}
    return with_controls, unavailable


def _variant(entry: Json, listed: Mapping[str, Json]) -> Variant:
    if "command" in entry:
        return Variant(entry["name"], command=tuple(entry["command"]), environment=tuple(entry.get("env", {}).items()),
                       announces=entry.get("announces", False), framing=entry["framing"],
                       holds=entry.get("holds", "any"))
    ours = listed[entry["variant"]]
    return Variant(entry["name"], entry["variant"], ours["program"], Path(entry["build"]) if "build" in entry else None,
                   tuple(entry.get("options", ())), holds=ours["holds"])


def _scaled(variant: Variant, threads: int | str | None, cores: int) -> list[Variant]:
    """The variant; under thread scaling (`1..`, `2..16`) one for each step, NAME@THREADS, on as many cores."""
    if not isinstance(threads, str):
        return [replace(variant, threads=threads)]
    first, last = threads.split("..")
    return [replace(variant, name=f"{variant.name}@{step}", threads=step, cores=step, scaled_of=variant.name)
            for step in thread_counts(int(first), min(cores, int(last or cores)))]


def thread_counts(first: int, last: int) -> list[int]:
    """Doubling from the first up to the last, and the last: 1, 2, 4, 6."""
    steps = [first]
    while 2 * steps[-1] < last:
        steps.append(2 * steps[-1])
    return [*steps, last] if last > first else steps


def unmet(entry: Json) -> str:
    """Why a foreign server cannot run here: the reason of the first of its needs that is not met; empty if all are."""
    needs = entry.get("needs", [])
    for need in needs if isinstance(needs, list) else [needs]:
        if isinstance(need, str):
            if not (shutil.which(need) or (REPOSITORY / need).exists()):
                return f"{need} is not {'built' if '/' in need else 'installed'}"
        elif not _succeeds(need["command"], entry.get("env", {})):
            return need["reason"]
    return ""


def _succeeds(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    try:
        return subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=NEED_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
