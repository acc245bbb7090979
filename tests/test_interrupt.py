"""Ctrl-C is obeyed even where Python drops the exception."""

import signal
import subprocess
import sys

SWALLOWED = """
import os, signal, time
from cdipipe import interrupt
{restore}
interrupt.install()

class Pressed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

Pressed()
print("went on")
interrupt.check()
print("lost")
"""


def run(restore):
    return subprocess.run([sys.executable, "-c", SWALLOWED.format(restore=restore)], capture_output=True, text=True)


def test_an_interrupt_inside_a_destructor_is_not_lost():
    done = run("signal.signal(signal.SIGINT, signal.default_int_handler)")
    assert "Exception ignored" in done.stderr and done.stdout == "went on\n"
    assert done.returncode in (-signal.SIGINT, 130)


def test_an_ignored_interrupt_stays_ignored():
    done = run("signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert done.returncode == 0 and done.stdout == "went on\nlost\n"


def test_progress_asks_for_it():
    code = "from cdipipe import interrupt, progress; interrupt._pressed.set(); progress.Progress(None, 1, '').update()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "KeyboardInterrupt" in done.stderr and done.returncode != 0
