"""What a person who waits for a measurement sees."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, TextColumn

from .units import format_seconds


class Progress:
    """A bar on a terminal, a printed line for each step elsewhere.  `describe` makes the text of a step.  Used with
    `with`: nothing of the bar stays when it is left, however that happens."""

    def __init__(self, console: Console, describe: Callable[..., str]) -> None:
        self._console = console
        self._describe = describe
        self._bar = Bar(BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[left]} left"),
                        TextColumn("{task.description}", markup=False), console=Console(file=console.file),
                        transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", left="")

    def __call__(self, done: int, steps: Sequence[tuple[Any, ...]], seconds_left: float) -> None:
        """Before each step, and after the last; `steps` are all that are known of, the arguments of `describe`."""
        text, left = self._describe(*steps[done]) if done < len(steps) else "", format_seconds(seconds_left)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=len(steps), description=text, left=left)
        elif text:
            self._console.print(f"[{done + 1}/{len(steps)}] {left} left  {text}")
            self._console.file.flush()

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
