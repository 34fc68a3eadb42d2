"""JSON documents and the folders they lie in: results of every kind, experiments, lists.  Reading, checking against a
schema, writing whole."""

import atexit
import base64
import binascii
import contextlib
import gzip
import itertools
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema

from . import REPOSITORY, Failure, Usage
from .units import parse_count

Json = dict[str, Any]  # a document as it is in its file
PAGE = "index.html"  # of a report


def locate(path: str | Path, name: str) -> Path:
    """The result file that `path` names: itself, or the one called `name` in that folder, or else the report
    there, which holds it.  Raises Usage where there is none."""
    path = Path(path)
    files = [file for file in ((path / name, path / PAGE) if path.is_dir() else (path,)) if file.is_file()]
    if not files:
        raise Usage(f"{path}: there is no result; give a result file, or a folder with a {name}")
    return files[0]


def new_folder(wanted: Path | None, name: str, *results: str) -> Path:
    """The folder for the `results`, files or folders, of a new run: what the user wanted, else one of runs/ with the
    time and `name`, which no other run gets.  If nothing is written into it, it is removed at the end.  Raises Usage
    where a result exists there already."""
    if wanted and (present := [result for result in results if (wanted / result).exists()]):
        raise Usage(f"--out {wanted}: {present[0]} exists there already; give another folder")
    place = REPOSITORY / "runs" / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    places = [wanted] if wanted else itertools.chain(
        [place], (place.with_name(f"{place.name}-{number}") for number in itertools.count(2)))
    for folder in places:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            atexit.register(_remove_empty, folder)
            return folder
    assert wanted
    return wanted


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it is not
        folder.rmdir()


def folder_of_report(file: Path, name: str) -> Path:
    """Where the report of a result file goes: next to the result in the folder of a run, else into a folder of
    its own."""
    return file.parent if file.name in (name, PAGE) else file.with_name(f"{file.stem}-report")


def has_report(folder: Path) -> bool:
    """Whether a report of ours lies there, which may be written anew.  Raises Usage where another page does."""
    return bool(_report_in(folder))


def require_no_report(folder: Path) -> None:
    """Raises Usage where a page lies that is none of ours, or holds a result: it may be the only copy."""
    if 'id="result"' in _report_in(folder):
        raise Usage(f"{folder / PAGE}: a report that holds a result would be overwritten; give another folder by --out")


def _report_in(folder: Path) -> str:
    """Its text; empty if there is none."""
    page = folder / PAGE
    text = page.read_text(errors="replace") if page.is_file() else ""
    if page.is_file() and 'id="charts"' not in text:
        raise Usage(f"{page}: a page that is no report would be overwritten; give another folder by --out")
    return text


def portable(document: Json) -> Json:
    """Without the folder that the project had where it was measured: paths below it become relative."""
    text = json.dumps(document)
    built = re.search(r'"(/[^" ]*/)build/[^"/ ]+/(?:servers|loadgen|bench)/echo-', text)
    return json.loads(text.replace(built[1], "")) if built else document


def read(file: Path, name: str = "result") -> Any:
    """The JSON in a file that the user named; of a report, what it holds by that `name`.  Raises Usage if it is not
    JSON."""
    if file.suffix == ".html":
        return held(file, file.read_text(), name)
    try:
        return json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{file}: not JSON: {error}") from None


def embedded(document: Json) -> str:
    """A document as a page holds it: one text."""
    return base64.b64encode(gzip.compress(json.dumps(document, separators=(",", ":")).encode(), mtime=0)).decode()


def held_text(text: str, name: str) -> str | None:
    """That text of a page; None where it holds nothing by that name."""
    match = re.search(rf'<script type="application/gzip" id="{name}"[^>]*>([^<]*)</script>', text)
    return match[1] if match else None


def held(file: Path, text: str, name: str = "result") -> Json:
    """The document that a page, the text of `file`, holds by that name.  Raises Usage where it holds none."""
    encoded = held_text(text, name)
    if encoded is None:
        raise Usage(f"{file}: this page holds no result: it is not a report of `echobench run` or `echobench report`")
    try:
        return json.loads(gzip.decompress(base64.b64decode(encoded, validate=True)))
    except (binascii.Error, OSError, EOFError, zlib.error, ValueError) as error:
        raise Usage(f"{file}: the result in it cannot be read: {error}") from None


def require_version(document: object, version: int, path: str | Path) -> None:
    """Raises Usage that names both versions when the document is of another version of its schema."""
    written = document.get("schema_version") if isinstance(document, dict) else None
    if isinstance(written, int) and written != version:
        age, remedy = ("an older", "measure again") if written < version else ("a newer", "use that echobench")
        raise Usage(f"{path}: schema version {written}, written by {age} echobench; this one reads version {version}: "
                    f"{remedy}")


FORMATS = jsonschema.FormatChecker(())  # what a pattern cannot say: "1.5k" is a whole number, "1.5" is none


@FORMATS.checks("whole", ValueError)
def _is_whole(value: object) -> bool:
    if isinstance(value, str):
        parse_count(value)
    return True


@FORMATS.checks("positive", ValueError)
def _is_positive(value: object) -> bool:
    if isinstance(value, str) and parse_count(value) < 1:
        raise ValueError(f"'{value}' is less than 1")
    return True


def check(document: object, schema_file: Path, path: str | Path, definition: str | None = None) -> None:
    """Raises Usage that names the place where the document read from `path` is not as its schema, or a definition in
    it, has it."""
    schema = json.loads(schema_file.read_text())
    if definition:
        schema = {**schema["$defs"][definition], "$defs": schema["$defs"]}
    _explain(jsonschema.Draft202012Validator(schema, format_checker=FORMATS).iter_errors(document), path)


def _explain(errors: Iterable[jsonschema.ValidationError], path: str | Path) -> None:
    """Raises Usage for the error that lies deepest in the file, where the mistake most likely is; of several there, for
    that which says more than that another type, or form, was possible."""
    found = [each for error in errors for each in _with_causes(error)]
    if found:
        error = max(found, key=lambda each: (len(each.absolute_path), each.cause is not None,
                                             each.validator not in ("type", "anyOf")))
        where = "/".join(str(part) for part in error.absolute_path) or "top level"
        meant = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
        what = str(error.cause or error.message)[:300]
        raise Usage(f"{path}: at {where}: {what}" + (f" ({meant})" if meant else ""))


def _with_causes(error: jsonschema.ValidationError) -> Iterator[jsonschema.ValidationError]:
    yield error
    for cause in error.context:
        yield from _with_causes(cause)


def write(document: Json, path: Path) -> None:
    """A document, as write_text."""
    write_text(json.dumps(document, indent=1) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Writes the whole file or leaves the one before: a run that is cut short keeps what it had.  Raises Failure where
    that is not possible: the file system is full, the folder was removed."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None


def now() -> str:
    """The time, as documents have it: UTC, ISO 8601, with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
