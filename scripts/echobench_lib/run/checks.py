"""What servers report of themselves, compared with what was measured of them."""

from collections.abc import Iterable

from ..documents import Json
from .servers import Server


def deaths(servers: Iterable[Server]) -> list[str]:
    """A sentence for each server that ended before it was asked to."""
    return [f"{server.variant.name} died during the run: it {end}" for server in servers if (end := server.end())]


def other_builds(tool: Json, servers: Iterable[Server]) -> list[str]:
    """A sentence where a server was not built from the same sources as the load generator, with the same flags."""
    differing: dict[str, list[str]] = {}
    for server in servers:
        if build := server.listening.get("build"):
            if keys := [key for key in ("commit", "dirty", "compiler", "flags") if build.get(key) != tool.get(key)]:
                what = ", ".join(f"{key} {build.get(key)} against {tool.get(key)}" for key in keys)
                differing.setdefault(what, []).append(server.variant.name)
    return [f"{', '.join(names)}: not built like the load generator: {what}" for what, names in differing.items()]


def check_totals(cell: Json, server: Server) -> list[str]:
    """Where the server's own count contradicts the client's: sentences, none when they agree.  The server sees warm-up
    too, so it must have counted at least what the client did."""
    if server.variant.is_foreign:
        return []
    stopped = server.stopped
    if stopped is None:
        return ["the server did not print its totals when it was stopped"]
    checks = []
    sent = sum(piece["requests_total"] for piece in cell["slices"])
    if cell["workload"]["framing"] != "raw" and stopped["requests"] < sent:
        checks.append(f"the server counted {stopped['requests']:,} requests, the client had {sent:,} answered")
    if stopped["accepted"] < cell["connections"]["opened"]:
        checks.append(f"the server accepted {stopped['accepted']:,} connections, the client opened "
                      f"{cell['connections']['opened']:,}")
    # echo-load ends crr connections by a reset, so that no port stays in TIME_WAIT
    errors = {kind: count for kind, count in stopped["errors"].items()
              if count and not (kind == "reset" and cell["load"] == "crr")}
    if errors:
        checks.append("the server counted errors: " + ", ".join(f"{count:,} {kind}" for kind, count in errors.items()))
    return checks
