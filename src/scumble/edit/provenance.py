"""What a result says about itself: what it was made from, and of its sources' metadata what still holds."""

import json
from collections.abc import Mapping, Sequence

from scumble.families.base import FileIdentity
from scumble.files.lorafile import LoraFile
from scumble.files.metadata import MODEL_SPEC_VERSION

OF_THE_BASE = (
    "ss_base_model_version",
    "ss_v2",
    "ss_sd_model_name",
    "ss_sd_model_hash",
    "ss_clip_skip",
    "ss_resolution",
    "modelspec.sai_model_spec",
    "modelspec.architecture",
    "modelspec.implementation",
    "modelspec.resolution",
    "modelspec.prediction_type",
    "modelspec.encoder_layer",
    "scumble.base",
    "scumble.fingerprint",
)
"""What LoRAs of one base have in common; how each was trained is not true of a merge of them."""

OF_THE_TENSORS = (
    "scumble.rank",
    "scumble.alpha",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_network_args",
    "ss_network_module",
    "sshs_model_hash",
    "sshs_legacy_hash",
    "modelspec.hash_sha256",
)
"""What changes with the numbers; the writer says anew what it can."""

TRIGGERS = ("modelspec.trigger_phrase", "scumble.trigger")


def as_one_for(metadata: Mapping[str, str], identity: FileIdentity) -> dict[str, str]:
    """Metadata that names the family by which the file was read: programs show and read it by that.

    A family that the file names in more detail, such as "sd_v2_768_v", is left as it is.
    """
    said = metadata.get("ss_base_model_version", ""), metadata.get("ss_v2")
    known = identity.base_version, str(identity.is_v2)
    if said[0].partition("_")[0] == known[0].partition("_")[0] and said[1] == known[1]:
        return dict(metadata)
    return {**metadata, "ss_base_model_version": known[0], "ss_v2": known[1]}


def after_change(metadata: Mapping[str, str], what: str, source: str) -> dict[str, str]:
    """Of one LoRA with other numbers: how it was trained still holds.

    Args:
        metadata: the source's.
        what: what was done, as a field's name: "resized_from".
        source: the source's name.
    """
    kept = {name: text for name, text in metadata.items() if name not in OF_THE_TENSORS}
    return {**kept, f"scumble.{what}": _json(_described(source, metadata))}


def after_merge(files: Mapping[str, LoraFile], weights: Sequence[float], title: str) -> dict[str, str]:
    """Of several LoRAs added up: what is true of every one of them, and their names and weights.

    Args:
        files: a name that tells it apart -> a source.
        weights: of each.
        title: what the result is called.
    """
    all_metadata = [file.metadata for file in files.values()]
    kept = {
        name: all_metadata[0][name]
        for name in OF_THE_BASE
        if name in all_metadata[0] and len({metadata.get(name) for metadata in all_metadata}) == 1
    }
    triggers = {
        name: ", ".join(dict.fromkeys(metadata[name] for metadata in all_metadata if metadata.get(name)))
        for name in TRIGGERS
    }
    made_from = [
        {**_described(name, file.metadata), "weight": weight}
        for (name, file), weight in zip(files.items(), weights, strict=True)
    ]
    return {
        **kept,
        **{name: text for name, text in triggers.items() if text},
        "ss_output_name": title,
        "modelspec.title": title,
        "modelspec.merged_from": ", ".join(files),
        "scumble.merged_from": _json(made_from),
    }


def after_extraction(base: str, tuned: str, identity: FileIdentity, title: str) -> dict[str, str]:
    """Of a LoRA that is the difference of two models.

    Args:
        base, tuned: the models' names.
        identity: how files name the family.
        title: what the result is called.
    """
    return {
        "ss_output_name": title,
        "ss_sd_model_name": base,
        "ss_base_model_version": identity.base_version,
        "ss_v2": str(identity.is_v2),
        "modelspec.sai_model_spec": MODEL_SPEC_VERSION,
        "modelspec.architecture": identity.architecture,
        "modelspec.implementation": identity.implementation,
        "modelspec.title": title,
        "scumble.base": base,
        "scumble.extracted_from": _json({"base": base, "tuned": tuned}),
    }


def made_from_words(text: str) -> str:
    """What a field says of sources, for a person: names and weights, without hashes; other texts as they are.

    Args:
        text: of a field such as scumble.merged_from, in JSON; or a list of names.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    match value:
        case {"base": str(base), "tuned": str(tuned)}:
            return f"{tuned}, as it differs from {base}"
        case {"name": str(name)}:
            return name
        case [*items] if items and all(isinstance(item, str) for item in items):
            return ", ".join(items)
        case [*items] if items and all(isinstance(item, dict) and "name" in item for item in items):
            return ", ".join(f"{item['name']} (weight {item.get('weight', 1)})" for item in items)
    return text


def _described(name: str, metadata: Mapping[str, str]) -> dict[str, object]:
    tensor_hash = metadata.get("sshs_model_hash")
    return {"name": name, **({"sshs_model_hash": tensor_hash} if tensor_hash else {})}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
