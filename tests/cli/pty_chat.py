# SPDX-License-Identifier: Apache-2.0
"""q35rt chat on a terminal of its own, typed at by a test. Waits for what has to come, never for a time to pass."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios

PATIENCE = 240  # seconds until a test that waits in vain gives up
UP, LEFT, BACKSPACE, CTRL_C, CTRL_D = "\x1b[A", "\x1b[D", "\x7f", "\x03", "\x04"


def own_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Chat:
    def __init__(self, *args, model=None, **environment):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        command = [os.environ["Q35RT"], "chat", "-m", model or os.environ["TINY"], *args]
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        preexec_fn=own_terminal, env={**os.environ, "TERM": "xterm", **environment})
        self.new = b""  # what came since the last match

    def read(self):
        """More of what it writes; False when it has ended and everything is read."""
        ended = self.process.poll() is not None
        if select.select([self.master], [], [], 0 if ended else 0.05)[0]:
            self.new += os.read(self.master, 65536)
            return True
        return not ended

    def fail(self, what):
        self.process.kill()
        sys.exit(f"{what}; last seen: {self.new[-2000:]!r}")

    def wait(self, done, what):
        signal.alarm(PATIENCE)
        signal.signal(signal.SIGALRM, lambda *_: self.fail(f"waited in vain for {what}"))
        while not done():
            if not self.read():
                if done():
                    break
                self.fail(f"ended before {what}")
        signal.alarm(0)

    def expect(self, pattern):
        """Waits for a pattern; returns the match."""
        pattern = re.compile(pattern.encode(), re.S)
        self.wait(lambda: pattern.search(self.new), pattern.pattern)
        match = pattern.search(self.new)
        self.new = self.new[match.end():]
        return match

    def expect_bytes(self, n):
        self.wait(lambda: len(self.new) >= n, f"{n} bytes")

    def prompt(self):
        self.expect("> ")

    def type(self, text):
        os.write(self.master, text.encode())

    def say(self, text, reply=""):
        """Types a line at a prompt and waits for the reply and the next prompt."""
        self.type(text + "\r")
        match = self.expect(reply) if reply else None
        self.prompt()
        return match

    def end(self):
        """Waits for the end: exit code, and whether the terminal is as before."""
        self.wait(lambda: self.process.poll() is not None, "the end")
        return self.process.returncode, termios.tcgetattr(self.slave) == self.before


def editing():
    """Without libedit there is nothing to edit: the case skips aloud."""
    program = open(os.environ["Q35RT"], "rb").read()
    if b"libedit.so" not in program:
        print("skipped: built without libedit")
        sys.exit(77)
