"""PEFT's own files: `base_model.model.<path>.lora_A.weight`, with rank and alpha in settings beside them.

The path is the one inside the part's module, as PEFT finds it there: newer transformers have no `text_model` in the
first text encoder. See `folder` for how the files lie.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.assemble import assemble
from scumble.files.embeddings import refuse_words
from scumble.files.folder import without_settings
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.magnitude import to_peft
from scumble.files.namings import PEFT, PEFT_BEGIN, known_names
from scumble.files.peft_lokr import lokr_settings, peft_lokr
from scumble.files.peft_settings import ALGORITHMS, Scales, parse_settings, scales_of, with_scale
from scumble.files.places import PARTS, SETTINGS
from scumble.files.plain_lora import down_and_up
from scumble.files.tensornames import PEFT_TENSORS, TensorName, split_dotted

NAMINGS, split = PEFT, split_dotted
WRITTEN = {tensor: name for name, tensor in PEFT_TENSORS.items()}


def read(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    layer_paths: Mapping[str, Sequence[str]],
    allow_partial: bool = False,
) -> LoraFile:
    """PEFT's tensors -> canonical form; see `lorafile.Format.read`.

    Args:
        tensors, metadata: as `folder.read_files` has them.
        layer_paths: model part -> dotted paths of the base's layers, in canonical names.
        allow_partial: see `lorafile.Format.read`.
    """
    found = assemble(tensors, split, known_names(NAMINGS, layer_paths), allow_partial)
    # a folder of its own for a part has its settings under the part's name, a single one has them under none
    scales = {part: _scales(metadata, part) for part in {key.partition(".")[0] for key in found.layers}}
    stated = min(found.states_alpha, default=None)
    if stated is not None:
        raise LoraFileError(f"{stated}: its alpha is said by a tensor, expected it in {SETTINGS} alone")
    layers = {key: with_scale(key, layer, scales[key.partition(".")[0]]) for key, layer in found.layers.items()}
    return LoraFile(layers, without_settings(metadata), found.left_out)


def write(file: LoraFile) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Canonical form -> PEFT's tensors, and as metadata its settings; see `lorafile.Format.write`."""
    refuse_words(file.embeddings, "PEFT's")
    parts = [part for part in PARTS if file.part(part)]
    tensors: dict[str, Tensor] = {}
    metadata = without_settings(file.metadata)
    for part in parts:
        begin = f"{part}/" if len(parts) > 1 else ""
        layers = {_module_path(part, path): layer for path, layer in file.part(part).items()}
        algorithm = _only_algorithm(part, layers)
        written = {path: _converted(f"{part}.{path}", layer) for path, layer in layers.items()}
        for path, layer in written.items():
            for name, tensor in layer.tensors.items():
                shared = name == "magnitude"
                side = WRITTEN[TensorName("", "PEFT's magnitude") if shared else TensorName(algorithm, name)]
                tensors[f"{begin}{PEFT_BEGIN}{path}.{side}"] = tensor
        text = json.dumps(_settings_of(part, algorithm, written), indent=2, sort_keys=True)
        metadata[begin + SETTINGS] = text + "\n"
    return tensors, metadata


def _scales(metadata: Mapping[str, str], part: str) -> Scales:
    text = metadata.get(f"{part}/{SETTINGS}", metadata.get(SETTINGS))
    if text is None:
        raise LoraFileError(
            f"found PEFT's tensors without {SETTINGS} beside them, in which rank and alpha are: expected the whole folder"
        )
    return scales_of(parse_settings(text, SETTINGS), SETTINGS)


def _module_path(part: str, path: str) -> str:
    return path.removeprefix("text_model.") if part == "text_encoder" else path


def _only_algorithm(part: str, layers: Mapping[str, LoraLayer]) -> str:
    algorithms = sorted({layer.algorithm for layer in layers.values()})
    with_dora = {"magnitude" in layer.tensors for layer in layers.values()}
    if len(algorithms) > 1 or len(with_dora) > 1 or (True in with_dora and algorithms != ["lora"]):
        found = " and ".join(algorithms) + (", with DoRA" if with_dora == {True} else "")
        raise LoraFileError(
            f"{part}: found {found}{', some with DoRA' if len(with_dora) > 1 else ''}; PEFT has one algorithm for all "
            "layers of a part, and DoRA with LoRA alone: write kohya's naming"
        )
    return algorithms[0]


def _converted(key: str, layer: LoraLayer) -> LoraLayer:
    """A layer with the tensors that PEFT has for it."""
    if layer.algorithm == "lokr":
        return peft_lokr(layer)
    if layer.algorithm != "lora":
        return layer
    down, up = down_and_up(key, layer)
    dora = {"magnitude": to_peft(key, layer.tensors["magnitude"].detach())} if "magnitude" in layer.tensors else {}
    return LoraLayer("lora", {"down": down, "up": up, **dora}, layer.rank, layer.alpha)


def _settings_of(part: str, algorithm: str, layers: Mapping[str, LoraLayer]) -> dict[str, object]:
    rank = Counter(layer.rank for layer in layers.values()).most_common(1)[0][0]
    alpha = Counter(layer.alpha for layer in layers.values()).most_common(1)[0][0]
    names = {name for layer in layers.values() for name in layer.tensors}
    own: dict[str, dict[str, object]] = {
        "lora": {"lora_alpha": alpha, "use_dora": "magnitude" in names, "use_rslora": False, "bias": "none"},
        "loha": {"alpha": alpha, "use_effective_conv2d": "t1" in names},
        "lokr": {"alpha": alpha, "use_effective_conv2d": "t2" in names},
    }
    return {
        "peft_type": next(kind for kind, name in ALGORITHMS.items() if name == algorithm),
        "r": rank,
        "rank_pattern": {path: layer.rank for path, layer in layers.items() if layer.rank != rank},
        "alpha_pattern": {path: layer.alpha for path, layer in layers.items() if layer.alpha != alpha},
        "target_modules": sorted(layers),
        "inference_mode": True,
        **own[algorithm],
        **(lokr_settings(part, layers) if algorithm == "lokr" else {}),
    }
