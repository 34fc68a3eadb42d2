"""Sentences with figures in them.  In the braces of a template stand rows by their plain names:

    {time:BM_Switch_Futex/cpus:2}                  as `7.4 µs`
    {cpu:BM_Switch_Futex/cpus:2}                   CPU time of the whole process, in the same form
    {ratio:BM_Switch_Futex/cpus:2|BM_Switch_Null}  as `23`: of the times, or of the ratios to the floor that they share
    {counter:BM_Spawn_Thread|bytes_per_task}       a counter; its key contains the unit
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from string import Formatter

from .. import Usage
from ..units import format_bytes, format_time_ns, significant
from . import questions
from .figures import Row
from .questions import Question, plain

Field = tuple[str, str]  # verb, operands
DIGITS = 2  # of a figure in a sentence; a third where it stands before the decimal point anyway


class NoFigure(Exception):
    """A row was measured and gave no figure."""


def answer(question: Question, rows: Iterable[Row], partial: bool = False) -> str:
    """The answer to a question from all rows of a result.  Empty when no answer is written yet, or when the result is
    `partial` and lacks a row; a sentence with the reason when a row has no figure here."""
    known = {plain(row.name): row for row in rows}
    if partial and not names(question) <= known.keys():
        return ""
    try:
        return "".join(text + (_figure(question, known, *field) if field else "")
                       for text, field in _fields(question))
    except NoFigure as reason:
        return f"No answer here: {reason}."


def check(known: Iterable[Question], listed: Sequence[str]) -> None:
    """Raises Usage when the answer of a known question names a row that is not listed."""
    for question in known:
        if missing := names(question) - set(map(plain, listed)):
            raise _error(question, f"there is no row {sorted(missing)[0]}")


def names(question: Question) -> set[str]:
    """The plain names of the rows that an answer is made of."""
    return {name for _, field in _fields(question) if field for name in _rows_of(*field)}


def quantity(key: str, value: float, digits: int = 3) -> str:
    """A counter's value in the unit that its key contains: `late_p50_ns`, `bytes_per_task`, `bytes_per_second`."""
    if key.endswith("_per_second"):
        return f"{quantity(key.removesuffix('_per_second'), value, digits)}/s"
    if key.endswith("_per_cycle"):
        return significant(value, digits)
    if key.endswith("_ns"):
        return format_time_ns(value, digits)
    if "bytes" in key.split("_"):
        return format_bytes(value, digits)
    for unit, scale in ((" G", 1e9), (" M", 1e6)):
        if value >= scale:
            return significant(value / scale, digits) + unit
    return significant(value, digits)


def _fields(question: Question) -> Iterator[tuple[str, Field | None]]:
    """A text and the field that follows it, if there is one.  Raises Usage where the answer is no template."""
    try:
        parsed = list(Formatter().parse(question.answer))
    except ValueError as error:
        raise _error(question, error) from None
    for text, verb, operands, _ in parsed:
        if verb is not None and verb not in _VERBS:
            raise _error(question, f"'{{{verb}:...}}' is none of {', '.join(_VERBS)}")
        if verb in ("ratio", "counter") and (operands or "").count("|") != 1:
            raise _error(question, f"'{{{verb}:{operands}}}' needs two operands with a | between them")
        yield text, (verb, operands or "") if verb is not None else None


def _rows_of(verb: str, operands: str) -> list[str]:
    return operands.split("|")[:1 if verb == "counter" else 2]


def _figure(question: Question, known: Mapping[str, Row], verb: str, operands: str) -> str:
    rows = []
    for name in _rows_of(verb, operands):
        if name not in known:
            raise _error(question, f"there is no row {name}")
        if known[name].error:
            raise NoFigure(f"{name}: {known[name].error}")
        rows.append(known[name])
    try:
        return _VERBS[verb](rows, operands)
    except (LookupError, ZeroDivisionError):
        raise _error(question, f"'{{{verb}:{operands}}}': the row has no such figure") from None


def _ratio(row: Row, other: Row) -> float:
    if row.ratio is not None and row.floor == other.name:
        return row.ratio
    # the ratio of ratios bears a host that changed its speed between the two rows
    if row.ratio is not None and other.ratio is not None and row.floor == other.floor:
        return row.ratio / other.ratio
    return _known(row.ns) / _known(other.ns)


def _known(figure: float | None) -> float:
    """LookupError where the row has none."""
    if figure is None:
        raise LookupError
    return figure


def _rounded(value: float | None) -> float:
    """No more than three digits that are not zero.  LookupError where there is no value."""
    return float(f"{_known(value):.3g}")


_VERBS: dict[str, Callable[[list[Row], str], str]] = {
    "time": lambda rows, _: format_time_ns(_rounded(rows[0].ns), DIGITS),
    "cpu": lambda rows, _: format_time_ns(_rounded(rows[0].cpu_ns), DIGITS),
    "ratio": lambda rows, _: significant(_rounded(_ratio(*rows)), DIGITS),
    "counter": lambda rows, operands: quantity(key := operands.split("|")[1], _rounded(rows[0].counters[key]), DIGITS),
}


def _error(question: Question, what: object) -> Usage:
    return Usage(f"{questions.FILE}: {question.file}: answer: {what}")
