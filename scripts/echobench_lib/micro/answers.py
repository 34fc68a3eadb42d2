"""Sentences with figures in them.  In the braces of a template stand rows by their plain names:

    {time:BM_Switch_Futex/cpus:2}                  as `7.4 µs`
    {cpu:BM_Switch_Futex/cpus:2}                   CPU time of the whole process, in the same form
    {ratio:BM_Switch_Futex/cpus:2|BM_Switch_Null}  as `23`: of the times, or of the ratios to the floor that they share
    {counter:BM_Spawn_Thread|bytes_per_task}       a counter; its key contains the unit
"""

from string import Formatter

from .. import Usage
from ..units import format_bytes, format_time_ns, significant
from . import questions
from .questions import plain

DIGITS = 2  # of a figure in a sentence; a third where it stands before the decimal point anyway


class NoFigure(Exception):
    """A row was measured and gave no figure."""


def answer(question, rows, partial=False):
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


def check(known, listed):
    """Raises Usage when the answer of a known question names a row that is not listed."""
    for question in known:
        if missing := names(question) - set(map(plain, listed)):
            raise _error(question, f"there is no row {sorted(missing)[0]}")


def names(question):
    """The plain names of the rows that an answer is made of."""
    return {name for _, field in _fields(question) if field for name in _rows_of(*field)}


def quantity(key, value, digits=3):
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


def _fields(question):
    """(text, (verb, operands) or None) pairs."""
    try:
        parsed = list(Formatter().parse(question.answer))
    except ValueError as error:
        raise _error(question, error) from None
    for text, verb, operands, _ in parsed:
        if verb is not None and verb not in _VERBS:
            raise _error(question, f"'{{{verb}:...}}' is none of {', '.join(_VERBS)}")
        if verb in ("ratio", "counter") and operands.count("|") != 1:
            raise _error(question, f"'{{{verb}:{operands}}}' needs two operands with a | between them")
        yield text, verb and (verb, operands)


def _rows_of(verb, operands):
    return operands.split("|")[:1 if verb == "counter" else 2]


def _figure(question, known, verb, operands):
    rows = []
    for name in _rows_of(verb, operands):
        if name not in known:
            raise _error(question, f"there is no row {name}")
        if known[name].error:
            raise NoFigure(f"{name}: {known[name].error}")
        rows.append(known[name])
    try:
        return _VERBS[verb](rows, operands)
    except (KeyError, TypeError, ZeroDivisionError):
        raise _error(question, f"'{{{verb}:{operands}}}': the row has no such figure") from None


def _ratio(row, other):
    if row.ratio is not None and row.floor == other.name:
        return row.ratio
    if None not in (row.ratio, other.ratio) and row.floor == other.floor:  # which bears a host that changed its speed between them
        return row.ratio / other.ratio
    return row.ns / other.ns


def _rounded(value):
    """No more than three digits that are not zero."""
    return float(f"{value:.3g}")


_VERBS = {
    "time": lambda rows, _: format_time_ns(_rounded(rows[0].ns), DIGITS),
    "cpu": lambda rows, _: format_time_ns(_rounded(rows[0].cpu_ns), DIGITS),
    "ratio": lambda rows, _: significant(_rounded(_ratio(*rows)), DIGITS),
    "counter": lambda rows, operands: quantity(key := operands.split("|")[1], _rounded(rows[0].counters[key]), DIGITS),
}


def _error(question, what):
    return Usage(f"{questions.FILE}: {question.file}: answer: {what}")
