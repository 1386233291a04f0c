"""What the benchmarks share: running a command and reading its time and peak memory, and an emulator while a block runs."""

import os
import socket
import statistics
import subprocess
import sys
import time

MIB = 1 << 20


class Failed(Exception):
    """A command that did not end well; the text is what it said."""


def run(arguments, environment=None):
    """Runs a command to its end: seconds, and most resident bytes as the kernel counts them (what /usr/bin/time -v prints)."""
    started = time.monotonic()
    with open(os.devnull) as nothing:
        child = subprocess.Popen(
            [str(a) for a in arguments],
            stdin=nothing,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        said = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise Failed(f"exit {child.returncode}: {said.decode(errors='replace').strip()[-400:]}")
    return time.monotonic() - started, usage.ru_maxrss * 1024, said.decode(errors="replace")


class Emulator:
    """`millpond emulator` over a folder of tables, while the block runs."""

    def __init__(self, millpond, data, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [str(a) for a in (millpond, "emulator", "--data", data, "--port", self.port, *options)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return f"http://127.0.0.1:{self.port}"
            time.sleep(0.1)
        raise SystemExit("the emulator does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def in_turn(commands, runs):
    """Runs every command `runs` times, A B C A B C ...: by name, medians of seconds and of bytes, or the text of a failure.

    `commands` is a mapping of names to functions that run once and return what `run` returns. A command that has failed is not
    run again.
    """
    seen = {name: [] for name in commands}
    failed = {}
    for turn in range(runs):
        for name, once in commands.items():
            if name in failed:
                continue
            try:
                seconds, peak, _ = once()
            except Failed as failure:
                failed[name] = str(failure)
                continue
            seen[name].append((seconds, peak))
            print(f"  {turn + 1} of {runs}: {name} {seconds:.2f} s, {peak // MIB} MiB", file=sys.stderr, flush=True)
    return {
        name: failed.get(name) or tuple(statistics.median(column) for column in zip(*figures))
        for name, figures in seen.items()
    }
