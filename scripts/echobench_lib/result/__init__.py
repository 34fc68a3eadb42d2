"""What was measured, as it is stored."""

from .document import FILE_NAME, SCHEMA_VERSION, described, from_json, lean, load, reference_of, save, validate
from .model import Cell, Result, Run, Slice, Verdict, build
from .workload import LOADS, TITLES, Load, Workload

__all__ = ["FILE_NAME", "LOADS", "SCHEMA_VERSION", "TITLES", "Cell", "Load", "Result", "Run", "Slice", "Verdict",
           "Workload", "build", "described", "from_json", "lean", "load", "reference_of", "save", "validate"]
