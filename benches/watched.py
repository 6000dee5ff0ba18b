"""Runs a command and measures the peak memory of it and its children."""

import subprocess
import sys
import time
from pathlib import Path


def run(command):
    """Runs the command to its end without output; returns the sum of the peak memory of its processes, in bytes.

    `RUSAGE_CHILDREN` is not enough, because it counts only children that their parent has waited for, which is not the
    case for workers.
    """
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks = {}
    while running.poll() is None:
        peaks |= memory_of(running.pid)
        time.sleep(0.1)
    if running.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {running.returncode}")
    return sum(peaks.values())


def memory_of(parent):
    """The peak memory of a process and of each of its children, in bytes by process id."""
    peaks = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:  # the process has ended
            continue
        pid = int(status.parent.name)
        if pid == parent or int(lines["PPid"]) == parent:
            peaks[pid] = int(lines.get("VmHWM", "0 kB").split()[0]) * 1024
    return peaks
