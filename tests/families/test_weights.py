"""A model filled from its file a piece at a time: the library's numbers, and the library where names are not its own."""

import shutil

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from scumble.errors import BaseModelError
from scumble.families.find import open_base
from scumble.families.folder import FolderParts
from scumble.families.weights import A_PIECE, read

CPU = torch.device("cpu")
CLASSES = {"unet": UNet2DConditionModel, "vae": AutoencoderKL}
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture
def folder(tiny_base, tmp_path):
    return shutil.copytree(tiny_base, tmp_path / "base")


@pytest.fixture
def asked_library(monkeypatch):
    """The parts that the library was asked to load."""
    asked = []
    for model_class in CLASSES.values():
        plain = model_class.from_pretrained

        def noted(where, plain=plain, **choices):
            asked.append(where.name)
            return plain(where, **choices)

        monkeypatch.setattr(model_class, "from_pretrained", noted)
    return asked


def rewritten(folder, part, change):
    (path,) = (folder / part).glob("*.safetensors")
    save_file(change(load_file(path)), path, {"format": "pt"})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("part", CLASSES)
def test_the_numbers_are_those_of_the_library(folder, asked_library, part, dtype):
    theirs = CLASSES[part].from_pretrained(folder / part, torch_dtype=dtype)
    asked_library.clear()
    ours = FolderParts("base", folder).load(part, CLASSES[part], dtype, CPU)
    assert asked_library == []
    expected, found = theirs.state_dict(), ours.state_dict()
    assert list(found) == list(expected)
    assert all(found[name].dtype == dtype and torch.equal(found[name], expected[name]) for name in expected)
    assert not ours.training
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in ours.parameters())
    assert not any(buffer.is_meta for buffer in ours.buffers())


def test_a_variant_is_read(folder):
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    halved = {name: (tensor / 2).half() for name, tensor in load_file(weights).items()}
    save_file(halved, weights.with_suffix(".fp16.safetensors"), {"format": "pt"})
    model = open_base(str(folder), variant="fp16").load_denoiser(torch.float16, CPU)
    assert all(torch.equal(tensor, halved[name]) for name, tensor in model.state_dict().items())


def test_older_names_are_left_to_the_library(folder, asked_library):
    def older(weights):
        named = {}
        for name, tensor in weights.items():
            for new, old in OLD_NAMES.items() if ".attentions." in name else ():
                name = name.replace(new, old)
            named[name] = tensor
        return named

    plain = open_base(str(folder)).load_autoencoder(CPU).model.state_dict()
    assert asked_library == []
    rewritten(folder, "vae", older)
    found = open_base(str(folder)).load_autoencoder(CPU).model.state_dict()
    assert asked_library == ["vae"]
    assert all(torch.equal(found[name], tensor) for name, tensor in plain.items())


def test_several_files_are_left_to_the_library(folder, asked_library):
    unet = open_base(str(folder)).load_denoiser(torch.float32, CPU)
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder / "unet", max_shard_size="1MB")
    assert len(list((folder / "unet").glob("*.safetensors"))) > 1
    found = open_base(str(folder)).load_denoiser(torch.float32, CPU).state_dict()
    assert asked_library == ["unet"]
    assert all(torch.equal(found[name], tensor) for name, tensor in unet.state_dict().items())


def test_a_weight_of_another_shape_is_said(folder):
    def changed(weights):
        return {**weights, "conv_in.weight": torch.ones(3)}

    rewritten(folder, "unet", changed)
    with pytest.raises(BaseModelError, match="cannot load"):
        open_base(str(folder)).load_denoiser(torch.float32, CPU)


def test_the_file_is_opened_anew_for_each_piece(folder, monkeypatch):
    (path,) = (folder / "unet").glob("*.safetensors")
    names = sorted(load_file(path))
    pieces = list(read(path, "base", names, torch.bfloat16))
    assert [len(piece) for piece in pieces[:-1]] == [A_PIECE] * (len(names) // A_PIECE)
    assert [name for piece in pieces for name in piece] == names
    with pytest.raises(BaseModelError, match="no such tensor"):
        list(read(path, "base", ["no such tensor"], torch.float32))
