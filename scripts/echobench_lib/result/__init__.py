"""What was measured, as it is stored."""

from .document import FILE_NAME, SCHEMA_VERSION, lean, load, reference_of, save, validate
from .workload import LOADS, TITLES, Workload, workload_of

__all__ = ["FILE_NAME", "LOADS", "SCHEMA_VERSION", "TITLES", "Workload", "lean", "load", "reference_of", "save", "validate", "workload_of"]
