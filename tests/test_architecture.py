"""The house: who may import whom, what each place may know, and how large a thing may grow."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from scumble import registry

ROOT = Path(registry.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LEVELS = (
    {"allocator", "errors"},
    {"config", "device", "processes", "quantities", "registry"},
    {"adapters"},
    {"files", "data", "page"},
    {"families"},
    {"train", "generate", "edit", "upscale", "captioning"},
    {"compare", "check", "metrics", "mini", "report", "runs", "sweep", "doctor"},
    {"cli", "web"},
    {"", "__main__"},  # the package's own front: names for Python users, and `python -m scumble`
)
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}
POSIX_ONLY = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 50


def module_name(path):
    parts = ("scumble", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def place(module):
    """The top-level part that a module belongs to; "" for the package itself."""
    return (*module.split("."), "")[1]


def imported(node, name):
    """The modules of this package that an import statement names."""
    if isinstance(node, ast.Import):
        wanted = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
        beginning = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*beginning, *([node.module] if node.module else [])])
        wanted = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names]
    else:
        return []
    return [module for module in wanted if module in MODULES]


def imports(name):
    """Every import of a module, lazy ones inside functions too: (line, imported module)."""
    return [(node.lineno, other) for node in ast.walk(TREES[name]) for other in imported(node, name)]


GRAPH = {name: {other for _, other in imports(name) if other != name} for name in MODULES}


def cycles(graph):
    """Every cycle that a depth-first walk meets, as "a -> b -> a"."""
    found, done = [], set()

    def visit(name, path):
        done.add(name)
        for other in sorted(graph[name]):
            if other in path:
                found.append(" -> ".join([*path[path.index(other) :], other]))
            elif other not in done:
                visit(other, [*path, other])

    for name in sorted(graph):
        if name not in done:
            visit(name, [name])
    return found


def test_there_is_something_to_look_at():
    assert len(MODULES) > 80
    assert sum(map(len, GRAPH.values())) > 200
    assert imports("scumble.cli.train")  # relative, absolute and lazy imports are all understood
    assert "scumble.train.loop" in GRAPH["scumble.cli.train"]


def test_every_part_has_its_place_in_the_order():
    assert {place(name) for name in MODULES} <= LEVEL_OF.keys()


def test_imports_point_down_lazy_ones_too():
    upward = [
        f"{name}:{line} imports {other}"
        for name in MODULES
        for line, other in imports(name)
        if LEVEL_OF[place(other)] > LEVEL_OF[place(name)]
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle():
    assert cycles(GRAPH) == []


def test_neighbours_of_one_level_use_each_other_one_way_only():
    parts = {part: set() for part in {place(name) for name in MODULES}}
    for name, others in GRAPH.items():
        parts[place(name)] |= {place(other) for other in others} - {place(name)}
    assert cycles(parts) == []


def test_the_finder_of_circles_finds_one():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a -> b -> c -> a"]


FAMILY = re.compile(r"sd_?v?[1-3]\b|sd_?15|sd_?xl|stable.?diffusion|\bsd\b|\bsd3|flux", re.IGNORECASE)
ALLOWED_FAMILY_NAMES = {
    ("edit/programs/readings.py", "sd-scripts"),  # the name of a program
    ("edit/programs/a1111.py", "sdxl_"),  # what A1111 itself looks for in ss_base_model_version
    ("cli/commands.py", "The LoRA workshop for Stable Diffusion: from a folder of pictures to a proven LoRA file."),
    ("registry.py", "sd1"),  # the table of plug-ins has to name them
    ("registry.py", "scumble.families.sd1"),
    ("registry.py", "sd2"),
    ("registry.py", "scumble.families.sd2"),
    ("registry.py", "sdxl"),
    ("registry.py", "scumble.families.sdxl"),
    ("edit/independent.py", "StableDiffusionLoraLoaderMixin"),  # the foreign reader's class, whatever the family
    ("files/kohya.py", "sdxl"),  # kohya's ss_base_model_version decides between lora_te_ and lora_te1_
    ("files/detect.py", "a whole Stable Diffusion checkpoint"),  # what a file that is no LoRA turns out to be
    ("edit/card.py", "stable-diffusion"),  # the hub's own names of the shelves that LoRAs stand on
    ("edit/card.py", "stable-diffusion-xl"),
    ("edit/card.py", "template:sd-lora"),
    ("files/detect.py", "a textual inversion embedding of SDXL"),
}
"""(file, name or text) where nothing else will do. Help texts of the `base` setting are allowed by their setting."""


def words_of(tree):
    """Every name and every text of a module, but no docstrings."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) | ast.alias(name=word):
                yield word
            case ast.FunctionDef(name=word) | ast.ClassDef(name=word):
                yield word
            case ast.Constant(value=str(word)) if id(node) not in documentation:
                yield word


def test_only_families_and_the_model_in_the_box_know_a_family_by_name():
    found = {
        (MODULES[name].relative_to(ROOT).as_posix(), word)
        for name, tree in TREES.items()
        if place(name) not in {"families", "mini"}
        for word in words_of(tree)
        if FAMILY.search(word)
    }
    base_help = {item for item in found if item[0].startswith("config/") and item[1].startswith("base model: ")}
    assert found - base_help - ALLOWED_FAMILY_NAMES == set()
    assert ALLOWED_FAMILY_NAMES - found == set()  # an exception that is not needed any more goes


@pytest.mark.parametrize("text", ["is_sdxl", "SD15", "sd_v1", "stable-diffusion-v1-5", "StableDiffusionPipeline", "sd"])
def test_a_family_name_would_be_noticed(text):
    assert FAMILY.search(text)


@pytest.mark.parametrize("text", ["sidecar", "lora_down", "std", "used", "v_prediction", "sds"])
def test_an_ordinary_word_is_no_family_name(text):
    assert not FAMILY.search(text)


def test_no_module_needs_a_posix_system_to_be_imported():
    found = [
        f"{name} imports {alias.name}"
        for name, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if {alias.name.partition(".")[0], getattr(node, "module", None)} & POSIX_ONLY
    ]
    assert found == []


def test_files_stay_short():
    sizes = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FILE} == {}


def test_functions_stay_short():
    sizes = {
        f"{name}.{node.name}": node.end_lineno - node.lineno + 1
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FUNCTION} == {}


PLUGINS = [(kind, name) for kind, table in registry.PLUGINS.items() for name in table]
OFFERED = {
    "algorithm": {"create", "from_tensors"},
    "family": {"PIPELINE_CLASSES", "opens_folder", "open_folder", "opens_checkpoint", "open_checkpoint"},
    "format": {"read", "write"},
    "captioner": {"DEFAULT_MODEL", "GIVES_TAGS", "WANTED", "open_captioner"},
    "metric": {"measure"},
}
"""What the rest of the program asks of a plug-in of each kind."""


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plug_in_is_there_and_offers_what_its_kind_does(kind, name):
    module = registry.load(kind, name)
    assert module is importlib.import_module(registry.PLUGINS[kind][name])
    assert {offer for offer in OFFERED[kind] if not hasattr(module, offer)} == set()


def test_there_are_plug_ins_of_each_kind():
    assert {kind for kind, _ in PLUGINS} == set(OFFERED)
    assert len(PLUGINS) >= 4


def test_an_unknown_plug_in_names_the_nearest():
    with pytest.raises(Exception, match="unknown algorithm 'lore': did you mean 'lora'"):
        registry.load("algorithm", "lore")


MACHINE_PATH = re.compile(r"(?<![\w.])(/(home|root|work|Users|tmp|mnt|opt|usr|etc|workspace)/|[A-Z]:\\\w)")


def test_no_source_names_a_path_of_some_machine():
    lines = [
        f"{path.relative_to(ROOT)}:{number} {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert lines == []
