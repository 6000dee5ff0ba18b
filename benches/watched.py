"""Runs a command and watches how much memory it and its children hold."""

import subprocess
import sys
import time
from pathlib import Path


def run(command):
    """Runs to the end, in silence; returns the sum of the most bytes that each process of it has held.

    A worker outlives nobody but is waited for by nobody either, so what the system adds up of children is not enough.
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
    """The most memory that a process and its children have held, by process."""
    peaks = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:  # it has ended
            continue
        pid = int(status.parent.name)
        if pid == parent or int(lines["PPid"]) == parent:
            peaks[pid] = int(lines.get("VmHWM", "0 kB").split()[0]) * 1024
    return peaks
