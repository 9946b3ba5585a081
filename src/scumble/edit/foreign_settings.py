"""Keeping account of another program's settings: every key ends as a setting here, as idle, or named as unmatched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = "not known here; look for what it did in 'scumble train --help'"


@dataclass(frozen=True)
class Unmatched:
    """A key that changes something there and has no counterpart here.

    Attributes:
        key: its name there.
        value: what it was set to, or what holds there when nobody says.
        advice: what to do instead.
    """

    key: str
    value: Any
    advice: str


@dataclass(frozen=True)
class Table:
    """What the keys of a program mean that need no more than a look.

    Attributes:
        program: its name.
        same: key -> setting here, with the same values.
        without: key without a counterpart -> (its default there, what to do where it is set to something else).
        idle: keys, with blanks between, that say how fast or how talkative the program is, or what the base tells here
            by itself.
    """

    program: str
    same: Mapping[str, str]
    without: Mapping[str, tuple[Any, str]]
    idle: str


@dataclass
class Account:
    """The keys of one file, and what became of each.

    Attributes:
        values: keys that nothing has been done with yet.
        settings: "section.setting" here -> value.
        unmatched: keys without a counterpart.
        idle: keys that change nothing.
    """

    values: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    unmatched: list[Unmatched] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)

    def take(self, key: str, unsaid: Any = None) -> Any:
        """The value of a key, which is then dealt with; `unsaid` where it is missing or empty."""
        value = self.values.pop(key, None)
        return unsaid if value is None or value == "" else value

    def put(self, setting: str, value: Any) -> None:
        """Set "section.setting"; None leaves it open."""
        if value is not None:
            self.settings[setting] = value

    def refuse(self, key: str, value: Any, advice: str) -> None:
        """Name a key as one without a counterpart."""
        self.unmatched.append(Unmatched(key, value, advice))

    def settle(self, table: Table) -> None:
        """Deal with all keys that are left."""
        for key, setting in table.same.items():
            self.put(setting, self.take(key))
        for key, (default, advice) in table.without.items():
            if key not in self.values:
                continue
            value = self.values.pop(key)
            if value == default or value in (None, "", [], {}):
                self.idle.append(key)
            else:
                self.refuse(key, value, advice)
        idle = set(table.idle.split())
        self.idle += [key for key in self.values if key in idle]
        for key, value in self.values.items():
            if key not in idle:
                self.refuse(key, value, UNKNOWN)
        self.values = {}

    def nested(self) -> dict[str, dict[str, Any]]:
        """The settings by section."""
        sections: dict[str, dict[str, Any]] = {}
        for place, value in self.settings.items():
            section, _, name = place.partition(".")
            sections.setdefault(section, {})[name] = value
        return sections


def as_number(value: Any) -> float | None:
    """The number that a value is or spells; None where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def as_flag(value: Any) -> bool:
    """Whether a value that may be spelt as text says yes."""
    return value.strip().lower() in ("true", "1", "yes") if isinstance(value, str) else bool(value)
