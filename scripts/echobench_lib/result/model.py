"""What a result holds, as types: of each object of results/result.schema.json the fields that Python reads, called as
they are there, with their units in their names.  What a result does not record is None, or empty."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache, partial
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ..documents import Json
from .workload import Load, Workload

Verdict = Literal["wrong-replies", "errors", "client-bound", "overloaded", "starved", "unsaturated", "valid"]
Made = TypeVar("Made")


def build(kind: Callable[..., Made], document: Json) -> Made:
    """A dataclass from a JSON object, in depth: the fields by their names.  One that is absent has its default."""
    return kind(**{name: make(document[name]) for name, make in _makers(kind) if name in document})


@lru_cache(maxsize=None)
def _makers(kind: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    """(name, the function that makes it from its JSON) of each field."""
    hints = get_type_hints(kind)
    return [(each.name, _maker(hints[each.name])) for each in fields(kind)]


def _maker(hint: Any) -> Callable[[Any], Any]:
    """What makes a value of that type from its JSON: the `from_json` of a class, else `build`; of a list, a dict or an
    optional value that of its parts."""
    if hasattr(hint, "from_json"):
        return hint.from_json
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(build, hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin not in (list, dict) and NoneType not in arguments:
        return _as_it_is
    make = _maker(arguments[1 if origin is dict else 0])
    if make is _as_it_is:
        return make
    if origin is list:
        return lambda values: [make(value) for value in values]
    if origin is dict:
        return lambda values: {key: make(value) for key, value in values.items()}
    return lambda value: None if value is None else make(value)


def _as_it_is(value: Any) -> Any:
    return value


class Latency(dict[str, int]):
    """Nanoseconds of each percentile, `p50` or `p99.9`, that enough samples support."""

    @classmethod
    def from_json(cls, document: Json) -> "Latency":
        return cls({name: ns for name, ns in document.items() if name.startswith("p")})


@dataclass(frozen=True)
class Slice:
    """`index` is its round, in which slices of several targets pair.  `requests_total` has those of settling time and
    drain in it, as `server_cpu_ns` has."""

    index: int
    requests: int
    elapsed_ns: int
    requests_total: int
    server_cpu_ns: int | None = None


@dataclass(frozen=True)
class Stopped:
    """The totals that echo-server printed when it stopped; `turns` are those of its event loops."""

    requests: int = 0
    burnt_ns: int | None = None
    turns: int = 0
    requests_per_loop: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class ServerSystem:
    """Socket buffers of the whole system, before any connection and with all of them open."""

    tcp_memory_base_bytes: int | None = None
    tcp_memory_bytes: int | None = None


@dataclass(frozen=True)
class Server:
    """What is known of a server process.  `busy` is the share, 0 to 1, of the CPUs that it can use; `base` figures are
    from before any connection, the others of the same name with all of them open."""

    command: list[str] = field(default_factory=list)
    stopped: Stopped | None = None
    busy: float | None = None
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    voluntary_switches: int | None = None
    rss_base_bytes: int | None = None
    rss_bytes: int | None = None
    pss_base_bytes: int | None = None
    pss_bytes: int | None = None
    page_table_base_bytes: int | None = None
    page_table_bytes: int | None = None
    kernel_stack_estimate_base_bytes: int | None = None
    kernel_stack_estimate_bytes: int | None = None
    threads_base: int | None = None
    threads: int | None = None
    system: ServerSystem = ServerSystem()


@dataclass(frozen=True)
class Connections:
    asked: int
    opened: int


@dataclass(frozen=True)
class Control:
    """Of a positive control: the variant `of`, which was asked to burn `burn_ns` more for each request."""

    of: str
    burn_ns: int


@dataclass(frozen=True)
class Scaled:
    """Of a step of thread scaling: the variant `of` with so many threads."""

    of: str
    threads: int


@dataclass(frozen=True)
class Fairness:
    jain_index: float | None = None
    connections_per_loop: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class System:
    """What the whole machine counted since the cell before."""

    steal_ns: int = 0


@dataclass(frozen=True)
class Cell:
    """One variant under one workload in one restart.  `rate_per_s` is what was asked of it, None in a closed loop;
    `client_busy` is the share of its time, 0 to 1, in which the busiest client thread worked."""

    variant: str
    load: Load
    block: str
    restart: int
    verdict: Verdict
    reasons: list[str]
    workload: Workload
    rate_per_s: float | None
    connections: Connections
    throughput_per_s: float
    slices: list[Slice]
    server: Server = Server()
    control: Control | None = None
    scaled: Scaled | None = None
    checks: list[str] = field(default_factory=list)
    client_busy: float | None = None
    response_ns: Latency = field(default_factory=Latency)
    service_ns: Latency = field(default_factory=Latency)
    connect_ns: Latency = field(default_factory=Latency)
    by_operation_ns: dict[str, Latency] = field(default_factory=dict)
    histograms: dict[str, str] = field(default_factory=dict)  # {response, service, ...: HdrHistogram's text}
    connects_per_s: float | None = None
    bytes_out_per_s: float | None = None
    bytes_in_per_s: float | None = None
    fairness: Fairness = Fairness()
    system: System = System()

    @classmethod
    def from_json(cls, document: Json) -> "Cell":
        return build(cls, {**document, "workload": document, "rate_per_s": document["workload"].get("rate_per_s")})


@dataclass(frozen=True)
class Config:
    engine: str | None = None


@dataclass(frozen=True)
class Run:
    """One run of echo-load: a block in one restart.  `error`: why it has no cells.  `other_programs`: their share of
    the time of the servers' CPUs."""

    block: str
    restart: int
    started_at: str
    argv: list[str] = field(default_factory=list)
    error: str | None = None
    remark: str | None = None
    warning: str | None = None
    other_programs: float | None = None
    config: Config = Config()


@dataclass(frozen=True)
class Tool:
    commit: str | None = None
    dirty: bool = False


@dataclass(frozen=True)
class Host:
    cpu: str | None = None
    kernel: str | None = None
    mitigations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Placement:
    """`server_cpus` as taskset has it; `shared`: client and servers compete for a CPU."""

    server_cpus: str
    server_threads: int
    client_threads: int
    shared: bool


@dataclass(frozen=True)
class ExperimentVariant:
    """An experiment's entry; of one of our own servers it may be the name alone, else it has its `variant`.  A foreign
    one has a `command`."""

    name: str
    framing: str | None = None
    command: list[str] | None = None
    variant: str | None = None

    @classmethod
    def from_json(cls, entry: str | Json) -> "ExperimentVariant":
        return cls(entry) if isinstance(entry, str) else build(cls, entry)


@dataclass(frozen=True)
class Model:
    """What a variant of ours said of itself: `remark`, what must be known wherever its figures are shown."""

    name: str
    family: str = "others"
    colour: str | None = None
    remark: str = ""


@dataclass(frozen=True)
class ExperimentLoad:
    load: Load
    framing: str | None = None


@dataclass(frozen=True)
class Experiment:
    """What was asked for; without a name in a result that echo-load wrote itself."""

    name: str | None = None
    reference: str | None = None
    summary: str = ""
    framing: str | None = None
    variants: list[ExperimentVariant] = field(default_factory=list)
    loads: list[ExperimentLoad] = field(default_factory=list)


@dataclass(frozen=True)
class Look:
    """`restarts`: {block: how many it had}.  `block` and `variant`: whose interval was the widest."""

    restarts: dict[str, int]
    block: str | None = None
    variant: str | None = None


@dataclass(frozen=True)
class Further:
    """What more time would give."""

    half_width: float
    takes_s: float


@dataclass(frozen=True)
class Until:
    """Of a run that added restarts until it was precise: `asked` and `reached` are half widths on the log scale."""

    asked: float
    looks: list[Look]
    stopped: Literal["precise", "budget", "restarts"] | None = None
    reached: float | None = None
    further: Further | None = None


@dataclass(frozen=True)
class Result:
    """`document` is all that the file holds.  `unavailable`: {variant: why it could not run there}."""

    document: Json
    tool: Tool
    host: Host
    config: Config
    argv: list[str]
    cells: list[Cell]
    runs: list[Run] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    experiment: Experiment = Experiment()
    placement: Placement | None = None
    until: Until | None = None
    unavailable: dict[str, str] = field(default_factory=dict)
    unserved: list[str] = field(default_factory=list)
    started_at: str | None = None
    finished_at: str | None = None
    complete: bool = True
    lean: bool = False

    @property
    def variants(self) -> list[str]:
        """Those that have cells, in the order of the first."""
        return list(dict.fromkeys(cell.variant for cell in self.cells))

    @classmethod
    def from_json(cls, document: Json) -> "Result":
        return build(cls, {**document, "document": document})
