"""Watching over the processes that train together: each beats, and each looks whether the others do.

A process that dies is gone from its system, or silent where that is another system, which cannot be asked; one that hangs is
there, but does not arrive where the others wait for it. A wait inside a collective operation cannot be interrupted from Python: where it does not end by itself, the process is ended.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable
from math import inf
from time import monotonic, sleep
from typing import Any

from scumble.processes import Share
from scumble.train.whereabouts import Whereabouts

BEAT_SECONDS, SILENCE_SECONDS, SUSPICIOUS_SECONDS = 0.5, 6.0, 2.0
"""How often each process says that it lives, and after how long without a word one on another system is called lost: sooner
where a broken connection has already said that somebody is. On this system a process may be silent while others take its
time: whether it is there, the system says.
"""

GRACE_SECONDS = 3.0
"""How long a wait may take to end by itself once a process is lost."""

LOST_EXIT_CODE = 1


class Watch(threading.Thread):
    """The thread of one process that beats and looks.

    Args:
        store: what the processes share, a torch.distributed.Store of this thread's own.
        share: which process this is.
        timeout: seconds that others may be waited for in one place.
        end: ends the process; it is given the sentence to say.
    """

    def __init__(
        self, store: Any, share: Share, timeout: float, end: Callable[[str], None] = lambda words: _end(words)
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self.store, self.share, self.timeout, self.end = store, share, timeout, end
        self.ended = threading.Event()
        self.found = threading.Event()
        self.words = ""
        self.silence = SILENCE_SECONDS
        self.waiting_since: float | None = None
        self.place = 0
        self.whereabouts: dict[int, Whereabouts] = {}
        store.set(f"name/{share.index}", f"process {share.index} of {share.count} on {socket.gethostname()}")
        store.set(f"whereabouts/{share.index}", Whereabouts.own().to_json())

    def run(self) -> None:
        """Beat and look until told to end, or until a process is lost."""
        others = [index for index in range(self.share.count) if index != self.share.index]
        beats = dict.fromkeys(others, (0, monotonic()))
        while not self.ended.wait(BEAT_SECONDS):
            try:
                self.store.add(f"beat/{self.share.index}", 1)
                now = monotonic()
                for other in others:
                    beat = self.store.add(f"beat/{other}", 0)
                    if beat != beats[other][0] or self._has_left(other):
                        beats[other] = (beat, now)
                gone = [other for other in others if self.is_gone(other, now - beats[other][1])]
                late = self._late(others, now)
                words = self._in_words(gone, "does not answer any more") or self._in_words(
                    late, f"has not arrived where this one has waited for {self.timeout:g} s"
                )
            except RuntimeError:  # the store's own connection
                words = "the process at which all meet is gone"
            if words:
                self._give_up(words)
                return

    def arrive(self) -> None:
        """Say that this process has come to the next place where all wait for each other, and waits."""
        self.place += 1
        self.store.set(f"place/{self.share.index}", str(self.place))
        self.waiting_since = monotonic()

    def go_on(self) -> None:
        """Say that the wait is over."""
        self.waiting_since = None

    def leave(self, patience: float = inf) -> None:
        """Say that this process has done its part, and end the thread; the first one leaves last, because all meet there.

        Args:
            patience: seconds that the first one waits for the others.
        """
        until = monotonic() + patience
        self.store.set(f"left/{self.share.index}", "1")
        others = [f"left/{other}" for other in range(self.share.count) if self.share.is_main]
        while not self.store.check(others) and not self.found.is_set() and monotonic() < until:
            sleep(BEAT_SECONDS / 5)
        self.ended.set()

    def why(self) -> str:
        """What was found, as a sentence, once it is; after a wait in vain, that nothing was. A connection has broken."""
        self.silence = SUSPICIOUS_SECONDS
        self.found.wait(SILENCE_SECONDS + 4 * BEAT_SECONDS)
        return self.words or "the connection to another process is lost"

    def is_gone(self, other: int, silent_seconds: float) -> bool:
        """Whether another process has ended without having done its part.

        Args:
            other: which.
            silent_seconds: how long it has not beaten.
        """
        is_running = self._where_is(other).is_running() if self._is_known(other) else None
        if is_running is None:
            return silent_seconds > self.silence
        return not is_running and not self._has_left(other)

    def _is_known(self, other: int) -> bool:
        return other in self.whereabouts or bool(self.store.check([f"whereabouts/{other}"]))

    def _where_is(self, other: int) -> Whereabouts:
        if other not in self.whereabouts:
            self.whereabouts[other] = Whereabouts.from_json(self.store.get(f"whereabouts/{other}").decode())
        return self.whereabouts[other]

    def _has_left(self, other: int) -> bool:
        return bool(self.store.check([f"left/{other}"]))

    def _late(self, others: list[int], now: float) -> list[int]:
        since = self.waiting_since
        if since is None or now - since <= self.timeout:
            return []
        return [other for other in others if self._place_of(other) < self.place]

    def _place_of(self, other: int) -> int:
        key = f"place/{other}"
        return int(self.store.get(key)) if self.store.check([key]) else 0

    def _in_words(self, lost: list[int], what: str) -> str:
        names = [self._name_of(other) for other in lost]
        return f"{', '.join(names)} {what}" if names else ""

    def _name_of(self, other: int) -> str:
        key = f"name/{other}"
        return self.store.get(key).decode() if self.store.check([key]) else f"process {other} of {self.share.count}"

    def _give_up(self, words: str) -> None:
        self.words = words
        self.found.set()
        began = monotonic()
        while self.waiting_since is not None and monotonic() - began < GRACE_SECONDS:
            if self.ended.wait(0.1):
                return
        if self.waiting_since is not None:
            self.end(words)


def _end(words: str) -> None:
    sys.stderr.write(f"error: {words}; ended without another checkpoint: resume from the newest\n")
    sys.stderr.flush()
    os._exit(LOST_EXIT_CODE)
