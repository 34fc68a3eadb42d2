"""A revision's programs, built from a work tree of its own under build/gate.  Paths of two revisions are equally long,
so that nothing but the code differs; what is built already is used again."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar
from unittest import mock

from rich.console import Console

from .. import REPOSITORY, Failure, Usage
from ..documents import Json
from ..run import programs
from ..run.programs import BUILD_ENV, SERVERS, last_line
from .judgement import BROKEN, NOT_MEASURABLE

FOLDER = Path("build") / "gate"
SHORT = 12    # characters of a commit
AGAIN = "-2"  # ends the name of the second place of one commit, which is as long as the first's
LOADGEN = "echo-load"
BUILD_S = 3600
Answer = TypeVar("Answer")


class BrokenBuild(Failure):
    """A revision does not build.  Exit status 2."""

    exit_status = 2


@dataclass(frozen=True)
class Build:
    """`commit` in full, as `name`d on the command line; `folder` has its programs."""

    name: str
    commit: str
    folder: Path

    @property
    def label(self) -> str:
        return self.commit[:SHORT] if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:SHORT]})"

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Its programs are those that are run."""
        with mock.patch.dict(os.environ, {BUILD_ENV: str(self.folder)}):
            yield

    def list_variants(self) -> list[Json]:
        """As programs.list_variants."""
        with self.in_use():
            return programs.list_variants()


def ask(base: Build, head: Build, question: Callable[[Build], Answer]) -> dict[Build, Answer]:
    """{build: question(build)}.  A head that does not answer is broken; a base that does not cannot be compared
    with."""
    answers = {}
    for build, status in ((base, NOT_MEASURABLE), (head, BROKEN)):
        try:
            answers[build] = question(build)
        except Failure as failure:
            error = Failure(f"{build.label}: {failure}")
            error.exit_status = status
            raise error from None
    return answers


def resolve(name: str, repository: Path = REPOSITORY) -> str:
    """The commit that a revision stands for.  Raises Usage when there is no such revision."""
    done = _git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if done.returncode != 0 and done.stderr:  # it is not the revision: "dubious ownership", "not a git repository"
        raise Failure(f"git: {done.stderr.strip()}")
    if done.returncode != 0:
        raise Usage(f"'{name}' is no revision of {repository}: give a branch, a tag or a commit (CI: fetch its "
                    "history, too)")
    return done.stdout.strip()


def beginning(base: str, head: str, repository: Path = REPOSITORY) -> str:
    """The commit that the change from `base` to `head`, two commits, began with: what the base's branch has been given
    since is not of that change.  The base itself, if it contains the head, for comparing backwards.  Raises Usage where
    the history in this clone has no such commit."""
    done = _git(repository, "merge-base", base, head)
    if done.returncode == 0:
        common = done.stdout.strip()
        return base if common == head else common
    shallow = _git(repository, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
    raise Usage(f"{head[:SHORT]} and {base[:SHORT]} have no commit in common" + (
        " in this clone, which is shallow: `git fetch --unshallow` (actions/checkout: fetch-depth: 0)" if shallow else
        ": give a base that the change began with"))


def has_changes(repository: Path = REPOSITORY) -> bool:
    """Whether the work tree has changes that no commit has, or none can be read."""
    done = _git(repository, "status", "--porcelain", "--untracked-files=no")
    return done.returncode != 0 or bool(done.stdout.strip())


def toolchain() -> str:
    """What CMake takes from the environment, and the compiler that it finds, as a text.  Headers need not be in it: the
    build looks at each that was read, and builds again what is older."""
    taken = {name: os.environ[name] for name in sorted(os.environ)
             if name in ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS") or name.startswith("CMAKE_")}
    compiler = taken.get("CXX", "c++")
    done = subprocess.run([*compiler.split(), "--version"], capture_output=True, text=True)
    return "".join(f"{name}={value}\n" for name, value in taken.items()) + done.stdout


def build(names: Sequence[str], console: Console, repository: Path = REPOSITORY,
          more: Sequence[str] = ()) -> tuple[Build, Build]:
    """A Build for the commit that the change from the first to the second of two revisions began with, and for the
    second: their servers, and `more` programs; work trees of others are removed.  A revision against itself is built
    twice: what differs then is chance, which is what a gate must be shown to bear."""
    commits = [resolve(name, repository) for name in names]
    if (began := beginning(commits[0], commits[1], repository)) != commits[0]:
        console.print(f"{names[1]} is compared with {began[:SHORT]}, where it left {names[0]}: what that has been "
                      "given since is not of the change", soft_wrap=True)
        names, commits[0] = [f"{names[0]} where {names[1]} left it", names[1]], began
    places = [commit[:SHORT] for commit in commits]
    if places[0] == places[1]:
        places[1] = places[1][:-len(AGAIN)] + AGAIN
    for old in sorted(path for path in (repository / FOLDER).glob("*") if path.is_dir()):
        if old.name not in (*places, resolve("HEAD", repository)[:SHORT]) and _lock(old, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(old)
            _lock(old, fcntl.LOCK_UN)
    _git(repository, "worktree", "prune")
    base, head = (_build(name, commit, repository / FOLDER / place, (*SERVERS, *more), console, repository)
                  for name, commit, place in zip(names, commits, places, strict=True))
    return base, head


def load_generator(sides: Sequence[Build], console: Console, repository: Path = REPOSITORY) -> Build:
    """A Build with the load generator that these scripts can drive: of the revision that is checked out, whichever are
    judged."""
    commit = resolve("HEAD", repository)
    place = next((side.folder.parent for side in sides if side.commit == commit), repository / FOLDER / commit[:SHORT])
    return _build("HEAD", commit, place, (LOADGEN,), console, repository)


def _build(name: str, commit: str, place: Path, wanted: Sequence[str], console: Console, repository: Path) -> Build:
    """Those of the `wanted` programs that the revision has.  What is there already is used if its files are those of
    the commit, and it was built by the same toolchain."""
    source, built, stamp = place / "source", Build(name, commit, place / "build"), place / "toolchain.txt"
    if not _lock(place, fcntl.LOCK_EX | fcntl.LOCK_NB):
        console.print(f"waiting for another gate, which uses {built.label}", soft_wrap=True)
        _lock(place, fcntl.LOCK_EX)
    with_what = toolchain()
    unchanged = stamp.is_file() and stamp.read_text() == with_what and not has_changes(source)
    if not unchanged:
        shutil.rmtree(place, ignore_errors=True)
        _git(repository, "worktree", "prune")
        done = _git(repository, "worktree", "add", "--detach", "--force", str(source), commit)
        if done.returncode != 0:
            raise Failure(f"{built.label}: no work tree: {last_line(done.stderr)}")
        stamp.write_text(with_what)
    console.print(f"building {built.label}: {', '.join(wanted)}", soft_wrap=True)
    with (place / "build.log").open("w") as log:
        _run(built, log, "cmake", "-S", source, "-B", built.folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release")
        known = subprocess.run(["cmake", "--build", built.folder, "--target", "help"], capture_output=True,
                               text=True).stdout
        targets = [name for name in wanted if re.search(rf"^(\.\.\. )?{name}\b(:|$)", known, re.MULTILINE)]
        if not targets:
            raise BrokenBuild(f"{built.label} has none of {', '.join(wanted)}")
        _run(built, log, "cmake", "--build", built.folder, "--target", *targets)
    _lock(place, fcntl.LOCK_SH)  # until this process ends
    return built


def _lock(place: Path, how: int) -> bool:
    """Of a revision's place, for this process: exclusive to change it, shared to use it.  False if another process has
    it, and LOCK_NB says not to wait."""
    if place not in _locks:
        place.parent.mkdir(parents=True, exist_ok=True)
        _locks[place] = place.with_name(f"{place.name}.lock").open("w")
    try:
        fcntl.flock(_locks[place], how)
    except BlockingIOError:
        return False
    return True


_locks: dict[Path, IO[str]] = {}


def _run(built: Build, log: IO[str], *command: str | Path) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=BUILD_S)
    if done.returncode != 0:
        lines = Path(log.name).read_text(errors="replace").splitlines()
        errors = [line for line in lines if re.search(r"\berror:|CMake Error", line) and not line.startswith("[")]
        errors = errors or lines[-1:] or [""]
        raise BrokenBuild(f"{built.label} does not build: {errors[0]} ({log.name})")


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True)
