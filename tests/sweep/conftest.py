"""Sweeps on the tiny base, whose cells are done in this process: what a process of its own costs is seconds of imports."""

from dataclasses import dataclass, field

import pytest

from scumble.config import from_values, merged
from scumble.config.sweep import SweepConfig
from scumble.sweep.leader import Leader
from scumble.sweep.setup import set_up
from scumble.sweep.work import do_job


@dataclass
class InThisProcess:
    """A crew that does each job at once."""

    jobs: list = field(default_factory=list)
    unseen: list = field(default_factory=list)

    def start(self, job):
        do_job(job, lambda: False)
        self.jobs.append(job)
        self.unseen.append((job, ""))

    def ended(self):
        seen, self.unseen = self.unseen, []
        return seen

    def stop(self):
        pass


@pytest.fixture
def settings(tiny_base, photos, tmp_path):
    """Settings of a sweep of short trainings, from groups of values that win one over the other."""

    def build(*changes):
        values = {
            "model": {"base": str(tiny_base)},
            "data": {"folder": photos, "cache_dir": tmp_path / "kept"},
            "optimizer": {"learning_rate": 1e-2},
            "training": {"max_train_steps": 4, "device": "cpu"},
            "output": {"output_dir": tmp_path / "runs", "report_to": "none"},
            "cells": {"pictures": 0, "workers": 1},
        }
        for change in changes:
            values = merged(values, change)
        return from_values(SweepConfig, values)

    return build


def set_up_now(config):
    steps = set_up(config)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def led(setup, threads=1):
    """A sweep led to its end in this process, where each cell computes with so many threads."""
    setup.folder.path.mkdir(parents=True, exist_ok=True)
    leader = Leader(setup, setup.choice(), InThisProcess(), 1, threads)
    while True:
        list(leader.start_what_fits())
        if not leader.running:
            return leader
        list(leader.look())
