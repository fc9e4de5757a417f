"""Load generators that cost little themselves: wrk for requests a second, curl for bytes a second."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.client import UnexpectedAnswerError
from bench.servers import Server
from bench.tools import find_tool

_WRK_REPORT = """\
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"bytes":%d,"errors":%d,"p99_us":%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(99.0)))
end
"""


def requests_per_second(
    server: Server, path: str, *, connections: int, seconds: float, headers: Mapping[str, str] | None = None
) -> float:
    """Requests a second of one GET, by wrk with one thread; any answer that is no 2xx is an error."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "report.lua"
        script.write_text(_WRK_REPORT)
        command = [find_tool("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        for name, value in {**server.headers, **(headers or {})}.items():
            command += ["-H", f"{name}: {value}"]
        done = subprocess.run(
            [*command, "-s", str(script), server.url + path], check=True, capture_output=True, text=True
        )
    result = json.loads(done.stdout.splitlines()[-1])
    if result["errors"] or not result["requests"]:
        raise UnexpectedAnswerError(
            f"{server.name} {path}: {result['errors']} errors in {result['requests']} requests under load"
        )
    return float(result["requests"] / result["microseconds"] * 1_000_000)


def download_bytes_per_second(server: Server, path: str, *, size_bytes: int, times: int) -> float:
    """Bytes a second of GETs one after another over one connection, redirects followed, by curl into /dev/null."""
    command = [find_tool("curl"), "-sS", "-L", "-w", "%{http_code} %{size_download} %{time_total}\n"]
    for name, value in server.headers.items():
        command += ["-H", f"{name}: {value}"]
    for _ in range(times):
        command += ["-o", "/dev/null", server.url + path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    total_bytes, total_seconds = 0, 0.0
    for line in done.stdout.splitlines():
        status, received_bytes, seconds = line.split()
        if status != "200" or int(received_bytes) != size_bytes:
            raise UnexpectedAnswerError(
                f"{server.name} {path}: status {status}, {received_bytes} bytes instead of {size_bytes}"
            )
        total_bytes += int(received_bytes)
        total_seconds += float(seconds)
    return total_bytes / total_seconds
