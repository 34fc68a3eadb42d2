"""What a person who waits for a measurement sees."""

from .units import format_seconds


class Progress:
    """One line per step: rewritten in place on a terminal, printed otherwise.  `describe` makes the text of a step.  Used with `with`
    it leaves no line behind."""

    def __init__(self, console, describe):
        self._console = console
        self._describe = describe

    def __call__(self, done, steps, seconds_left):
        self.clear()
        if done < len(steps):
            text = f"[{done + 1}/{len(steps)}] {format_seconds(seconds_left)} left  {self._describe(*steps[done])}"
            if self._console.is_terminal:
                self._console.file.write(text[:self._console.width - 1])
            else:
                self._console.print(text, markup=False)
            self._console.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()

    def clear(self):
        """Makes room for what is printed next, also when the measurement was cut short."""
        if self._console.is_terminal:
            self._console.file.write("\r\x1b[2K")
