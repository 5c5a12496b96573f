#!/usr/bin/env python3
"""A mind that learns a wave and dreams it on: an experiment in Python, standard library only.

A network with one hidden layer learns a curve by gradient descent. It shows bij's protocol from
another language than Rust: checkpoints that survive a power cut, progress in a file, status and
readiness by sd_notify, the stop file, SIGTERM, and the three exit codes that mean something.

What to look at: `bij status dreamer_004` while it learns (step, loss); `bij stop` and `bij start`
(it goes on where it was); its dream at the end of `bij logs dreamer_004`.

By hand: `python3 dreamer_004.py` keeps its checkpoints in the working directory. A JSON file in
$BIJ_CONFIG may set "epochs", "hidden", "rate" and "seed".
"""

import hashlib
import json
import math
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

DONE, RESUME_ME, NEVER_AGAIN = 0, 75, 78

DEFAULTS = {"epochs": 400, "hidden": 12, "rate": 0.05, "seed": 4}
EPOCHS_PER_CHECKPOINT = 20
SAMPLES = 48
# Least seconds of an epoch, so that people can watch.
PACE = float(os.environ.get("EXAMPLE_PACE_MS") or 10) / 1000


class Attempt:
    """This process as bij sees it. Without bij every answer is a harmless default."""

    def __init__(self, environment=os.environ):
        def text(name):
            return environment.get(name) or None  # an empty variable is an unset one

        def path(name):
            return Path(text(name)) if text(name) else None

        self.number = int(text("BIJ_ATTEMPT") or 1)
        self.crashes = int(text("BIJ_CRASHES") or 0)
        self.last_cause = text("BIJ_LAST_CAUSE")
        self.state_dir = (path("BIJ_STATE_DIR") or Path()).absolute()
        self.resume_from = path("BIJ_RESUME_FROM")
        self.config = path("BIJ_CONFIG")
        self._progress = path("BIJ_PROGRESS")
        self._stop_file = path("BIJ_STOP_FILE")
        self._notify_socket = text("NOTIFY_SOCKET")
        self._signalled = False
        signal.signal(signal.SIGTERM, self._hear)
        signal.signal(signal.SIGINT, self._hear)

    def _hear(self, _signal, _frame):
        self._signalled = True

    def stop_requested(self):
        return self._signalled or (self._stop_file is not None and self._stop_file.exists())

    def notify(self, message):
        """sd_notify(3): one datagram; a leading @ means a socket without a file."""
        address = self._notify_socket
        if address is None:
            return
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(message.encode(), address)

    def report(self, step, total, checkpoint=None):
        if self._progress is None:
            return
        line = f"step={step} total={total}"
        if checkpoint is not None:
            line += f" checkpoint={checkpoint}"  # last: a path may hold blanks
        save(self._progress, (line + "\n").encode())


def save(path, data):
    """Replaces a file in one step that a power cut cannot tear: write, fsync, rename, fsync."""
    beside = path.with_name(path.name + ".tmp")
    with open(beside, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(beside, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Checkpoints:
    """Two files by turns, each one line of checksum and then JSON."""

    def __init__(self, directory):
        self._paths = [directory / "dream-a.ckpt", directory / "dream-b.ckpt"]
        self._next = self._paths[0]

    def save(self, state):
        body = json.dumps(state).encode()
        written = self._next
        save(written, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        self._next = self._paths[1 - self._paths.index(written)]
        return written

    def resume(self, told):
        """The state told of, if it is whole, else the one that got furthest; (None, None) if none."""
        whole = {path: self._load(path) for path in {told, *self._paths} - {None}}
        whole = {path: state for path, state in whole.items() if state is not None}
        if not whole:
            return None, None
        path = told if told in whole else max(whole, key=lambda path: whole[path]["epoch"])
        if path in self._paths:  # the next one must not overwrite the one we stand on
            self._next = self._paths[1 - self._paths.index(path)]
        return whole[path], path

    @staticmethod
    def _load(path):
        try:
            checksum, _, body = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        if hashlib.sha256(body).hexdigest().encode() != checksum:
            print(f"{path} is torn or damaged; looking for another one", flush=True)
            return None
        return json.loads(body)


def curve(x):
    return math.sin(3 * x) * math.exp(-x * x / 4)


class Network:
    """One input, `hidden` neurons with tanh, one output."""

    def __init__(self, weights):
        self.weights = weights  # one [input weight, bias, output weight] a neuron

    @classmethod
    def at_random(cls, hidden, seed):
        dice = random.Random(seed)
        return cls([[dice.uniform(-3, 3), dice.uniform(-3, 3), dice.uniform(-1, 1)]
                    for _ in range(hidden)])

    def __call__(self, x):
        return sum(out * math.tanh(into * x + bias) for into, bias, out in self.weights)

    def learn(self, points, rate):
        """One epoch, point by point; returns the mean squared error before it."""
        loss = 0.0
        for x, y in points:
            active = [math.tanh(into * x + bias) for into, bias, _ in self.weights]
            error = sum(a * w[2] for a, w in zip(active, self.weights)) - y
            loss += error * error
            for a, w in zip(active, self.weights):
                slope = error * w[2] * (1 - a * a)
                w[2] -= rate * error * a
                w[0] -= rate * slope * x
                w[1] -= rate * slope
        return loss / len(points)

    def dream(self, columns=60, rows=11):
        """The learned curve as lines of text."""
        heights = [self(-3 + 6 * column / (columns - 1)) for column in range(columns)]
        row_of = [round((1 - height) / 2 * (rows - 1)) for height in heights]
        return ["".join("*" if at == row else " " for at in row_of).rstrip()
                for row in range(rows)]


def settings(config):
    """The defaults with what the config file says; raises ValueError for what it cannot mean."""
    chosen = dict(DEFAULTS)
    if config is not None:
        given = json.loads(config.read_text())
        if not isinstance(given, dict):
            raise ValueError("the config must be a JSON object")
        for key, value in given.items():
            known = chosen.get(key)
            if known is None:
                raise ValueError(f"unknown setting {key!r}; known are {', '.join(DEFAULTS)}")
            number = int if isinstance(known, int) else (int, float)
            if isinstance(value, bool) or not isinstance(value, number) or value <= 0:
                raise ValueError(f"{key} must be a positive number, not {value!r}")
            chosen[key] = value
    return chosen


def main():
    attempt = Attempt()
    try:
        chosen = settings(attempt.config)
    except (OSError, ValueError) as error:
        print(f"{attempt.config}: {error}", flush=True)
        return NEVER_AGAIN  # the same file would fail again

    if attempt.crashes:
        print(f"I have died {attempt.crashes} times; last by {attempt.last_cause}.", flush=True)
    checkpoints = Checkpoints(attempt.state_dir)
    state, newest = checkpoints.resume(attempt.resume_from)
    if state is None or state["settings"] != chosen or state["epoch"] >= chosen["epochs"]:
        network, epoch, newest = Network.at_random(chosen["hidden"], chosen["seed"]), 0, None
        print(f"Attempt {attempt.number}: I have learned nothing yet.", flush=True)
    else:
        network, epoch = Network(state["weights"]), state["epoch"]
        print(f"Attempt {attempt.number}: I go on after epoch {epoch}.", flush=True)

    points = [(x, curve(x)) for x in (-3 + 6 * i / (SAMPLES - 1) for i in range(SAMPLES))]
    attempt.notify("READY=1")
    while epoch < chosen["epochs"]:
        began = time.monotonic()
        # The order of the points depends on seed and epoch only: killed and resumed, it learns
        # the same.
        order = points[:]
        random.Random(f"{chosen['seed']}/{epoch}").shuffle(order)
        loss = network.learn(order, chosen["rate"])
        epoch += 1
        attempt.notify("WATCHDOG=1")
        stopping = attempt.stop_requested()
        if epoch % EPOCHS_PER_CHECKPOINT == 0 or epoch == chosen["epochs"] or stopping:
            newest = checkpoints.save(
                {"settings": chosen, "epoch": epoch, "weights": network.weights})
            attempt.report(epoch, chosen["epochs"], newest)
            attempt.notify(f"STATUS=epoch {epoch} of {chosen['epochs']}, loss {loss:.6f}")
            print(f"[{epoch}/{chosen['epochs']}] loss {loss:.6f}", flush=True)
        if stopping:
            attempt.notify("STOPPING=1")
            print("I was asked to leave. What I learned is kept.", flush=True)
            return RESUME_ME
        time.sleep(max(0.0, PACE - (time.monotonic() - began)))

    attempt.notify("STOPPING=1")
    print("This is what I dream of:", flush=True)
    for line in network.dream():
        print(line, flush=True)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
