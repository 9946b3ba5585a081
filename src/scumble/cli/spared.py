"""What diffusers need not import: optional packages that no command uses through it.

With its first model diffusers imports whatever of them is installed, and bitsandbytes brings torch's compiler along: on
two cores 9 s of processor with all, 5 s without. scumble packs weights with bitsandbytes itself, its adapters need no
PEFT, and its samplers are its own. Only the command's own process is spared; in a program that imports scumble, diffusers
finds all that is there.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

LOOKS_FOR_PACKAGES = "diffusers.utils.import_utils"
UNUSED = ("bitsandbytes", "peft", "scipy", "torchao", "gguf", "optimum", "auto_round", "modelopt")


def spare_unused() -> None:
    """From now on diffusers, when it is imported, takes the packages `UNUSED` for not installed; nobody else does."""
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != LOOKS_FOR_PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Runs a module while `UNUSED` are hidden."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def exec_module(self, module: ModuleType) -> None:
        hidden = [name for name in UNUSED if name not in sys.modules]
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is Python's own "not to be found"
        try:
            self.loader.exec_module(module)
        finally:
            for name in hidden:
                del sys.modules[name]
