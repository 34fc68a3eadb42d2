"""The background load: a second echo-load, which asks the server that is measured for what takes long."""

import signal
import subprocess
import tempfile
from pathlib import Path

from .. import Failure
from ..documents import Json
from ..plan.blocks import Background, Block
from ..plan.placement import Placement
from .programs import last_line, program, read_json
from .servers import Server

FOR_S = 3600   # longer than any measurement
STOP_S = 30    # it awaits its last replies
SETTLE_S = 0.2  # until its connections are open, and it is as it will be


class BackgroundLoad:
    """Lasts as long as the `with` block, or until it is stopped."""

    def __init__(self, background: Background, block: Block, placement: Placement, server: Server) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="echobench-")
        self._file = Path(self._scratch.name) / "background.json"
        self.command = [str(program("loadgen", "echo-load")), "-c", str(background.connections), "-d", f"{FOR_S}s",
                        "--warmup", "0s", "--cpus", placement.client_cpus, "--payload", str(block.payload_bytes),
                        "--framing", block.framing, "--op", background.op, "--json", str(self._file)]
        if background.rate_per_s:
            self.command += ["-R", str(background.rate_per_s)]
        if background.offload:
            self.command += ["--offload"]
        self.command += [server.address]

    def __enter__(self) -> "BackgroundLoad":
        def delay_stop() -> None:  # until the program looks: it may still be starting when it is stopped
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True, preexec_fn=delay_stop)
        try:
            _, stderr = self._process.communicate(timeout=SETTLE_S)
        except subprocess.TimeoutExpired:
            return self
        self.__exit__()
        raise Failure(f"the background load ended at once: {' '.join(self.command)}: "
                      f"{last_line(stderr) or 'no message'}")

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._scratch.cleanup()

    def stop(self) -> Json:
        """What it did until now, for a cell."""
        self._process.send_signal(signal.SIGTERM)
        try:
            _, stderr = self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"the background load did not stop within {STOP_S} s: {' '.join(self.command)}") from None
        if not self._file.exists():
            raise Failure(f"the background load left no result: {' '.join(self.command)}: "
                          f"{last_line(stderr) or 'no message'}")
        [cell] = read_json(self._file, "echo-load")["cells"]
        if cell["verdict"] in ("wrong-replies", "errors"):
            raise Failure(f"the background load had {cell['verdict']}: {'; '.join(cell['reasons'])}")
        return {"command": self.command, "verdict": cell["verdict"], "requests": cell["requests"],
                "throughput_per_s": cell["throughput_per_s"], "service_ns": cell["service_ns"]}
