"""Damaged LoRA files without end: whole ones of every kind, and ways of damaging them.

A mutation takes a file's bytes and a source of chance, and returns other bytes.
"""

import json
import random
import struct

import torch
from kinds import ALGORITHMS, random_layer

from scumble.errors import LoraFileError
from scumble.files import kohya, peft, peft_keys
from scumble.files.encode import encode
from scumble.files.lorafile import LoraFile
from scumble.files.places import SETTINGS, WEIGHTS
from scumble.files.read import read_lora

SHAPES = {
    "down_blocks.0.attentions.0.proj_in": (6, 6),
    "mid_block.resnets.0.conv1": (6, 4, 3, 3),
    "conv_out": (4, 6, 1, 1),
}
LAYER_PATHS = {
    "unet": list(SHAPES),
    "text_encoder": ["text_model.encoder.layers.0.mlp.fc1"],
    "text_encoder_2": ["text_model.encoder.layers.0.mlp.fc1", "text_projection"],
}
NUMBERS = (-1, 0, 1, 2, 3, 7, 8, 255, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, 1e308, True)
ODD = (None, "", "x", [], {}, [[]], {"a": {}}, "\0", "\ud800", "𝄞" * 40, float("nan"), float("inf"))
TAILS = (
    *("lora_down.weight", "lora_up.weight", "lora_mid.weight", "lora_A.weight", "lora_B.weight", "alpha", "dora_scale"),
    *("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b"),
    *(
        "lokr_w2",
        "lokr_w2_a",
        "lokr_w2_b",
        "lokr_t2",
        "lora_magnitude_vector",
        "diff",
        "to_q_lora.down.weight",
        "x.y.z",
    ),
)
HEADS = (
    *("lora_unet_conv_out", "lora_te_conv_out", "unet.conv_out", "conv_out", "base_model.model.conv_out", ""),
    *("lycoris_conv_out", "diffusion_model.out.2", "lora_unet_out_2", "text_encoder.", "clip_l.x", "a" * 300, ".", "é"),
    "lora_te2_text_projection",
)
DTYPES = tuple(torch.int64 if name == "i" else getattr(torch, name) for name in ("i", "float64", "float16", "bool"))


def whole_files() -> list[bytes]:
    """Small files of every algorithm and naming, with DoRA and without, and PEFT folders' weights with their settings."""
    files = []
    for i, kind in enumerate(ALGORITHMS):
        paths = [path for path, shape in SHAPES.items() if "tucker" not in kind or len(shape) == 4]
        for dora in (None, "output", "input"):
            layers = {f"unet.{path}": random_layer(kind, SHAPES[path], 1, 1.5, i, dora) for path in paths}
            files.append(encode(*kohya.write(LoraFile(layers, {"ss_base_model_version": ("sd_v1", "sdxl")[i % 2]}))))
            if kind in ("lora", "tucker") and dora != "input":
                files.append(encode(*peft_keys.write(LoraFile(layers))))
            if dora is None and kind != "lokr split twice":
                files.append(encode(*peft.write(LoraFile(layers))))
    settings = {"unet.r": 1, "unet.lora_alpha": 3, "unet.alpha_pattern": {"conv_out": 2}, "unet.use_rslora": True}
    metadata = {"lora_adapter_metadata": json.dumps(settings)}
    plain = {f"unet.{path}": random_layer("lora", shape, 1, 1.0, 0) for path, shape in SHAPES.items()}
    files.append(encode(peft_keys.write(LoraFile(plain))[0], metadata))
    return files


def header_of(file: bytes) -> tuple[dict, bytes]:
    length = struct.unpack("<Q", file[:8])[0]
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def with_header(header, data: bytes) -> bytes:
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + data


def flip_bytes(file: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(file)
    for _ in range(chance.choice((1, 1, 2, 8))):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged)


def flip_header_bytes(file: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(file)
    for _ in range(chance.choice((1, 1, 2, 4))):
        damaged[8 + chance.randrange(struct.unpack("<Q", file[:8])[0])] = chance.choice(
            b'"{}[]:,0123456789ABTF-e\\ \x00\xff'
        )
    return bytes(damaged)


def cut_or_lengthen(file: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.7:
        return file[: chance.randrange(len(file))]
    return file + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 40)))


def edit_header(file: bytes, chance: random.Random) -> bytes:
    header, data = header_of(file)
    for _ in range(chance.choice((1, 1, 3))):
        _change_something(header, chance)
    return with_header(header, data)


def _change_something(header: dict, chance: random.Random) -> None:
    where, depth = header, chance.randrange(4)
    while depth and isinstance(where, dict | list) and where:
        key = chance.choice(list(where) if isinstance(where, dict) else range(len(where)))
        if not isinstance(where[key], dict | list) or not where[key]:
            break
        where, depth = where[key], depth - 1
    if not where:
        return
    key = chance.choice(list(where) if isinstance(where, dict) else range(len(where)))
    match chance.randrange(4):
        case 0:
            del where[key]
        case 1:
            where[key] = chance.choice(NUMBERS)
        case 2:
            where[key] = chance.choice(ODD)
        case 3 if isinstance(where, dict):
            where[chance.choice(HEADS)] = where.pop(key)


def rename_tensors(file: bytes, chance: random.Random) -> bytes:
    header, data = header_of(file)
    for _ in range(chance.choice((1, 1, 2, 5))):
        old = chance.choice([name for name in header if name != "__metadata__"])
        head, _, tail = old.partition(".")
        match chance.randrange(4):
            case 0:
                new = f"{head}.{chance.choice(TAILS)}"
            case 1:
                new = f"{chance.choice(HEADS)}.{tail}"
            case 2:
                new = f"{chance.choice(HEADS)}.{chance.choice(TAILS)}"
            case 3:
                at = chance.randrange(len(old) + 1)
                new = old[:at] + chance.choice(("", ".", "_", "/", "x", "\n", "unet.")) + old[at + 1 :]
        header[new] = header.pop(old)
    return with_header(header, data)


def _reencoded(file: bytes, change) -> bytes:
    header, data = header_of(file)
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).reshape(entry["shape"])
    change(tensors, metadata)
    return encode(tensors, metadata)


def reshape_tensors(file: bytes, chance: random.Random) -> bytes:
    def change(tensors, metadata):
        for _ in range(chance.choice((1, 1, 2))):
            name = chance.choice(list(tensors))
            tensor = tensors[name]
            match chance.randrange(6):
                case 0:
                    tensors[name] = tensor.transpose(0, -1).contiguous() if tensor.ndim else tensor.reshape(1)
                case 1:
                    tensors[name] = tensor.reshape(-1)
                case 2:
                    tensors[name] = tensor.reshape([*tensor.shape, *[1] * chance.randrange(3)])
                case 3:
                    tensors[name] = torch.ones([chance.randrange(4) for _ in range(chance.randrange(6))])
                case 4:
                    tensors[name] = tensor.to(chance.choice(DTYPES))
                case 5:
                    tensors[name] = tensors[chance.choice(list(tensors))]

    return _reencoded(file, change)


def drop_or_double_tensors(file: bytes, chance: random.Random) -> bytes:
    def change(tensors, metadata):
        for _ in range(chance.choice((1, 2))):
            name = chance.choice(list(tensors))
            if chance.random() < 0.5 and len(tensors) > 1:
                del tensors[name]
            else:
                tensors[f"{name.partition('.')[0]}.{chance.choice(TAILS)}"] = tensors[name]

    return _reencoded(file, change)


def edit_settings(file: bytes, chance: random.Random) -> bytes:
    def change(tensors, metadata):
        name = next((name for name in metadata if name.endswith((SETTINGS, "lora_adapter_metadata"))), None)
        if name is None:
            metadata["lora_adapter_metadata"] = json.dumps({"unet.lora_alpha": chance.choice(NUMBERS)})
        elif chance.random() < 0.3:
            metadata[name] = flip_bytes(metadata[name].encode(), chance).decode("utf-8", "replace")
        else:
            settings = json.loads(metadata[name])
            _change_something(settings, chance)
            metadata[name] = json.dumps(settings)

    return _reencoded(file, change)


MUTATIONS = (
    flip_bytes,
    flip_header_bytes,
    cut_or_lengthen,
    edit_header,
    rename_tensors,
    reshape_tensors,
    drop_or_double_tensors,
    edit_settings,
)


def try_mutated(files, count, seed, folder):
    """Read mutated files; anything but a LoRA or a LoraFileError is raised, with the file left in the folder.

    Returns:
        Mutation -> [read, refused].
    """
    chance = random.Random(seed)
    found = {mutation.__name__: [0, 0] for mutation in MUTATIONS}
    for _ in range(count):
        mutation = chance.choice(MUTATIONS)
        damaged = mutation(chance.choice(files), chance)
        weights = folder / WEIGHTS
        weights.write_bytes(damaged)
        _write_settings(damaged, folder / SETTINGS)
        try:
            lora = read_lora(weights, LAYER_PATHS, allow_partial=chance.random() < 0.5)
        except LoraFileError:
            found[mutation.__name__][1] += 1
        else:
            _check(lora)
            found[mutation.__name__][0] += 1
    return found


def _write_settings(damaged, path):
    """PEFT's settings lie beside the tensors: here they travel in the metadata, and are damaged with it."""
    path.unlink(missing_ok=True)
    try:
        settings = header_of(damaged)[0]["__metadata__"][SETTINGS]
        path.write_bytes(settings.encode("utf-8", "surrogatepass"))
    except Exception:  # noqa: BLE001 - a header that cannot be read has no settings
        return


def _check(lora):
    """What was read is whole: every layer has its place, a scale, and numbers."""
    for key, layer in lora.layers.items():
        part, _, path = key.partition(".")
        assert path in LAYER_PATHS[part]
        assert layer.rank >= 1
        assert abs(layer.alpha) < float("inf")
        assert all(tensor.isfinite().all() for tensor in layer.tensors.values())
