"""A result of `echobench count`: results/count.schema.json."""

from .. import REPOSITORY, documents

SCHEMA_FILE = REPOSITORY / "results" / "count.schema.json"
FILE_NAME = "count.json"
KIND = "count"
EXACT_WITHIN = 0.001  # repeats of an exact figure lie no further apart
FIGURES = {  # in the order of a table: what they are called
    "instructions": "instructions", "system_calls": "system calls", "allocations": "allocations",
    "allocated_bytes": "bytes allocated", "voluntary_switches": "voluntary switches",
    "involuntary_switches": "involuntary switches"}
NEVER_EXACT = {"voluntary_switches", "involuntary_switches"}  # the system's load decides, too


def load(path):
    """The document of a result file, or of a folder that has one."""
    file = documents.locate(path, FILE_NAME)
    document = documents.read(file, "result-count")
    _validate(document, file)
    return document


def save(document, file):
    _validate(document, file)
    documents.write(document, file)


def cells(document):
    """{(variant, connections): cell}"""
    return {(cell["variant"], cell["connections"]): cell for cell in document["cells"]}


def _validate(document, file):
    documents.check(document, SCHEMA_FILE, file)
