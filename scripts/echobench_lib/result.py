"""A result file: reading, checking, writing, and what identifies a cell."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import jsonschema

from . import REPOSITORY, Usage, hdr
from .experiment import explain
from .units import format_connections

SCHEMA_FILE = REPOSITORY / "results" / "result.schema.json"
FILE_NAME = "result.json"
LOADS = {  # in the order of a report; what stands in a title
    "equal-load": "cost at equal load", "saturation": "cost at saturation", "ping-pong": "cost of a ping-pong",
    "open": "latency at equal load", "closed": "plain closed loop", "crr": "connect, request, close"}
_RATE_ORDER = {"light": 10, "half": 50, "heavy": 80}


@dataclass(frozen=True)
class Workload:
    """What every variant was asked to do in a group of cells.  `rate` is the experiment's word for it, a share of the
    lowest capacity or a number; how many requests per second that came to stands apart, for it was measured."""

    load: str
    connections: int
    payload_bytes: int
    framing: str
    op: str = "echo"       # with its time: work:100us
    pipeline: int = 1
    offload: bool = False  # work is done on another thread of the server
    rate: str = ""
    ballast_ns: int = 0    # that every server burnt for each request

    @property
    def order(self):
        return (*self.ladder_order, self._rate_order)

    @property
    def ladder_order(self):
        """Of workloads that differ in their rate only, the same."""
        return (list(LOADS).index(self.load), self.framing, self.payload_bytes, self.op, self.offload,
                self.pipeline, self.ballast_ns, self.connections)

    @property
    def _rate_order(self):
        digits = self.rate.removesuffix("%")
        return (not self.rate.endswith("%") and self.rate not in _RATE_ORDER,
                _RATE_ORDER.get(self.rate, float(digits) if digits.isdigit() else 0))

    @property
    def name(self):
        name = "/".join([self.load, *([self.rate] if self.rate else []), f"c{self.connections}",
                         f"{self.payload_bytes}B", self.framing])
        if self.op != "echo":
            name += f"/{self.op}" + ("/offload" if self.offload else "")
        return name + (f"/pipeline{self.pipeline}" if self.pipeline != 1 else "")

    def describe(self, rate_per_s=None):
        """For people: `cost at equal load, half (25,000/s each), 100 connections, 64-byte frame`."""
        known = f"{rate_per_s or float(self.rate):,.0f}/s each" if rate_per_s or self.rate.isdigit() else ""
        share = "" if self.rate.isdigit() else self.rate
        rate = f"{share} ({known})" if share and known else share or known
        text = LOADS[self.load] + (f", {rate}" if rate else "")
        return f"{text}, {self.shape}"

    @property
    def shape(self):
        """`100 connections, 64-byte frame`."""
        text = f"{format_connections(self.connections)}, {self.payload_bytes:,}-byte {self.framing}"
        if self.op != "echo":
            text += f", op {self.op}" + (" offloaded" if self.offload else "")
        return text + (f", pipeline {self.pipeline}" if self.pipeline != 1 else "")


def locate(path, name=FILE_NAME):
    """The result file that `path` names: itself, or the one called `name` in that folder."""
    path = Path(path)
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise Usage(f"{path}: no result there: give a result file, or a folder with a {name}")
    return file


def new_folder(wanted, name, file_name=FILE_NAME):
    """The folder for the result of a new run: what the user wanted, else one of runs/ with the time and `name`."""
    folder = wanted or REPOSITORY / "runs" / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    if (folder / file_name).exists():
        raise Usage(f"--out {folder}: there is a result already; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def folder_of_report(file, name=FILE_NAME):
    """Where the report of a result file goes: beside the result in the folder of a run, else into a folder of its own."""
    return file.parent if file.name == name else file.with_name(f"{file.stem}-report")


def read(file):
    """The JSON in a file that the user named."""
    try:
        return json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{file}: not JSON: {error}") from None


def load(path):
    """The document of a result file, valid by the schema, with what only `echobench run` records filled in."""
    file = locate(path)
    document = read(file)
    validate(document, file)
    for number, cell in enumerate(document["cells"]):
        _complete(cell, document["config"])
        for kind, text in cell.get("histograms", {}).items():
            try:
                hdr.decode(text)
            except ValueError as error:
                raise Usage(f"{file}: at cells/{number}/histograms/{kind}: {error}") from None
    return document


def validate(document, path):
    """Raises Usage that names the place when the document is not valid by results/result.schema.json."""
    schema = json.loads(SCHEMA_FILE.read_text())
    explain(jsonschema.Draft202012Validator(schema).iter_errors(document), path)


def save(document, path, new=0):
    """Checks and writes a document.  Cells before index `new` were checked when they were first saved."""
    validate({**document, "cells": document["cells"][new:]}, path)
    write(document, path)


def write(document, path):
    """Writes the whole file or leaves the one before: a run that is cut short keeps what it had."""
    beside = path.with_name(path.name + ".part")
    with beside.open("w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _complete(cell, config):
    """A cell straight from echo-load tells its workload in the file's config only."""
    rate = config.get("rate_per_s")
    cell.setdefault("restart", 0)
    cell.setdefault("block", "")
    open_loop = "equal-load" if config.get("busy_poll") else "open"
    cell.setdefault("load", "crr" if config.get("workload") == "crr" else open_loop if rate else "closed")
    workload = cell.setdefault("workload", {"payload_bytes": config.get("payload_bytes", 0),
                                            "framing": config.get("framing", "frame"),
                                            "pipeline": config.get("pipeline", 1), "op": _operation(config)})
    if config.get("offload"):
        workload.setdefault("offload", True)
    if rate:
        workload.setdefault("rate_per_s", rate)


def _operation(config):
    """`work:100us`: work of another length is another workload."""
    op, time_us = config.get("op", "echo"), config.get("op_param_us")
    if time_us is None:
        return op
    return f"{op}:{time_us}us" if time_us % 1000 else f"{op}:{time_us // 1000}ms"


def workload_of(cell):
    workload = cell["workload"]
    return Workload(cell["load"], cell["connections"]["asked"], workload["payload_bytes"], workload["framing"],
                    workload.get("op", "echo"), workload["pipeline"], workload.get("offload", False),
                    workload.get("rate", f"{workload['rate_per_s']:.0f}" if "rate_per_s" in workload else ""),
                    workload.get("ballast_ns", 0))


def reference_of(document, wanted=None):
    """The variant that ratios are to: `wanted`, the experiment's, epoll, or the first."""
    names = list(dict.fromkeys(cell["variant"] for cell in document["cells"]))
    if wanted is not None:
        if wanted not in names:
            raise Usage(f"--reference {wanted}: not in the result; there are {', '.join(names)}")
        return wanted
    of_experiment = document.get("experiment", {}).get("reference")
    for name in (of_experiment, "epoll"):
        if name in names:
            return name
    return names[0] if names else None
