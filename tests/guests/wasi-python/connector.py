"""A connector that tries what WASI would let it do, and says what came of it:
for tests of the sandbox."""

import os
import random
import socket
import sys
import time

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.signals import Alert, Decoded, Signal_Alert
from wit_world.imports.types import Attribute


def outcome(act):
    try:
        return repr(act())
    except BaseException as error:
        return type(error).__name__


def read(path):
    with open(path) as file:
        return file.read()


def write(path):
    with open(path, "w") as file:
        return file.write("x")


def connect():
    with socket.create_connection(("127.0.0.1", 80), timeout=1):
        return "connected"


def printed(to, text):
    print(text, file=to, flush=True)


def slept(seconds):
    before = time.monotonic()
    time.sleep(seconds)
    return time.monotonic() - before >= seconds


ACTS = {
    "arguments": lambda: sys.argv[1:],
    "environment": lambda: {key: os.environ[key] for key in os.environ if key in ("PATH", "HOME")},
    "read": lambda: read("/etc/passwd"),
    "list": lambda: os.listdir("/etc"),
    "write": lambda: write("/tmp/x"),
    "connect": connect,
    "listen": lambda: socket.socket().bind(("127.0.0.1", 8080)),
    "resolve": lambda: socket.getaddrinfo("localhost", 80),
    "seconds": lambda: int(time.time()),
    "sleep": lambda: slept(3_600),
    "random": lambda: os.urandom(8).hex(),
    "choice": lambda: random.SystemRandom().randrange(1_000_000),
    "stdin": lambda: sys.stdin.read() if sys.stdin else "",
    "stdout": lambda: printed(sys.stdout, "said on stdout"),
    "stderr": lambda: printed(sys.stderr, "said on stderr"),
    "exit": lambda: os._exit(7),
}


class Decode(exports.Decode):
    def decode(self, envelopes):
        answers = []
        for envelope in envelopes:
            act = envelope.body.decode()
            alert = Alert(
                identity=[Attribute("act", act)],
                firing=True,
                title=outcome(ACTS[act]),
                severity="info",
                started=envelope.received,
                ended=None,
                entities=[],
                labels=[],
                annotations=[],
                link=None,
            )
            answers.append(Ok(Decoded([Signal_Alert(alert)], [], None, [], None, [], 0)))
        return answers


class ConfigCheck(exports.ConfigCheck):
    def check(self, config):
        pass
