"""The other programs: where they are, which version, and the words for one that is not there."""

import importlib.util
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = {"PEFT": "peft", "LyCORIS": "lycoris"}
DISTRIBUTIONS = {"lycoris": "lycoris-lora"}


def version_of(package: str) -> str:
    """Of an installed package, by its import name; "missing" where it is not installed."""
    try:
        return version(DISTRIBUTIONS.get(package, package))
    except PackageNotFoundError:
        return "missing"


def missing_package(peer: str) -> str | None:
    """Why a peer from the index cannot run; None where it can."""
    name = PACKAGES[peer]
    if importlib.util.find_spec(name) is None:
        return f"missing: {name} is not installed (python -m pip install {DISTRIBUTIONS.get(name, name)})"
    return None


def missing_checkout(folder: Path | None, option: str, proof: str) -> str | None:
    """Why a peer from a checkout cannot run; None where it can.

    Args:
        folder: as given.
        option: of the bench, that gives it.
        proof: file that the checkout must have, relative.
    """
    if folder is None:
        return f"missing: no checkout was given ({option} FOLDER)"
    return None if (folder / proof).is_file() else f"missing: {folder.name} has no {proof}"


def commit_of(checkout: Path) -> str:
    """Of a checkout, short; "unknown" where git does not know it."""
    done = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def versions(*packages: str) -> dict[str, str]:
    """Of Python and of installed packages, for a result."""
    return {"python": sys.version.split()[0], **{name: version_of(name) for name in packages}}
