"""Which question each file of bench/ answers (bench/questions.json), and what the name of a row says.

A row is a benchmark with its arguments, `BM_Topic_What/key:value`; Google Benchmark appends to its name how it is
timed, `/process_time/real_time`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .. import REPOSITORY, Failure, Usage, documents
from ..documents import Json

FILE = REPOSITORY / "bench" / "questions.json"
SCHEMA_FILE = REPOSITORY / "bench" / "questions.schema.json"

OTHER_CPU = "cpus:2"
_TOPIC = re.compile(r"BM_([A-Za-z0-9]+)_")
_HOW = re.compile(r"/(?:process_time|real_time|manual_time|iterations:\d+|repeats:\d+|min_(?:warmup_)?time:[\d.]+)"
                  r"(?=/|$)")


@dataclass(frozen=True)
class Question:
    """A file of bench/, without its suffix; `answer` is a template (see answers), empty until it is written."""

    file: str
    topics: tuple[str, ...]
    question: str
    answer: str = ""
    caveat: str = ""
    floor: str = ""  # the topic whose Null is the floor of topics that have none of their own
    wake: str = ""   # the row, of any file, that is the floor of rows that wake the other CPU

    def label(self, name: str) -> str:
        """A row's name as short as it is clear among the rows of this file."""
        return plain(name).removeprefix(f"BM_{self.topics[0]}_").removeprefix("BM_")

    def floor_of(self, name: str, names: Iterable[str]) -> str | None:
        """What costs least among those that do the same work, in `names`: of rows that wake the other CPU the
        question's own; else BM_<Topic>_Null, of the row's topic or else of that which the question names, where all its
        arguments are the row's, too.  None where there is none."""
        if self.wake and OTHER_CPU in parts(name):
            return next((other for other in names if plain(other) == self.wake), None)
        for of in (topic(name), self.floor):
            for other in names:
                function, *arguments = plain(other).split("/")
                if function == f"BM_{of}_Null" and set(arguments) <= parts(name):
                    return other
        return None


def load() -> list[Question]:
    """All questions, in the order of the file.  Usage errors say where and what."""
    entries = documents.read(FILE)
    documents.check(entries, SCHEMA_FILE, FILE)
    questions = [_question(entry) for entry in entries]
    topics = [topic for question in questions for topic in question.topics]
    if twice := sorted({topic for topic in topics if topics.count(topic) > 1}):
        raise Usage(f"{FILE}: topics that belong to two files: {', '.join(twice)}")
    return questions


def _question(entry: Json) -> Question:
    return Question(entry["file"], tuple(entry["topics"]), entry["question"], entry.get("answer", ""),
                    entry.get("caveat", ""), entry.get("floor", ""), entry.get("wake", ""))


def group(names: Iterable[str], questions: Sequence[Question]) -> dict[Question, list[str]]:
    """{question: its rows}, in the order of the questions; a row that belongs to none is a Failure."""
    of_topic = {name: question for question in questions for name in question.topics}
    rows: dict[Question, list[str]] = {question: [] for question in questions}
    for name in names:
        if topic(name) not in of_topic:
            raise Failure(f"{name}: no file of {FILE} has the topic '{topic(name)}'; rows are called BM_<Topic>_<What>")
        rows[of_topic[topic(name)]].append(name)
    return {question: names for question, names in rows.items() if names}


def topic(name: str) -> str:
    """`Switch` of BM_Switch_Futex; empty where the name has none."""
    match = _TOPIC.match(name)
    return match[1] if match else ""


def plain(name: str) -> str:
    """The name without how it is timed: `BM_Switch_Futex/cpus:2`."""
    return _HOW.sub("", name)


def parts(name: str) -> set[str]:
    """What the name is made of, its arguments among them: {"BM_Switch_Futex", "cpus:2", "real_time"}."""
    return set(name.split("/"))
