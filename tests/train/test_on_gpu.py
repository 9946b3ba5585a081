"""Compiling is refused where it cannot help, and changes no number but by rounding."""

import pytest
import torch

from scumble.adapters.build import new_adapter
from scumble.adapters.inject import attach
from scumble.adapters.pack import Storage
from scumble.config import AdapterConfig, TrainingConfig
from scumble.errors import ConfigError
from scumble.families.find import open_base
from scumble.train import draws
from scumble.train.on_gpu import compile_blocks, lay_out, refuse_compiling
from scumble.train.recipes import recipe_for

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def test_compiling_is_refused_where_it_cannot_help(monkeypatch):
    asked = TrainingConfig(torch_compile=True)
    with pytest.raises(ConfigError, match="longer than it saves"):
        refuse_compiling(asked, CPU)
    refuse_compiling(TrainingConfig(), CPU)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs Triton"):
        refuse_compiling(asked, CUDA)


def denoiser_of(base):
    denoiser = open_base(str(base)).load_denoiser(torch.float32, CPU)
    path = next(path for path, _ in denoiser.named_modules() if path.endswith("attn1.to_q"))
    recipe = recipe_for(f"unet.{path}", AdapterConfig(rank=2, alpha=2.0))
    adapter = new_adapter(denoiser.get_submodule(path), recipe, draws.generator(0, "adapter"))
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    attach(denoiser, "trained", {path: adapter})
    return denoiser, adapter


def passed(denoiser, adapter):
    source = torch.Generator().manual_seed(0)
    noisy, hidden = torch.randn(2, 4, 4, 4, generator=source), torch.randn(2, 77, 32, generator=source)
    denoiser(noisy, torch.tensor([3, 700]), hidden).sample.square().mean().backward()
    return [parameter.grad for parameter in adapter.parameters()]


def test_compiled_blocks_give_the_same_gradient(tiny_base):
    plain = passed(*denoiser_of(tiny_base))
    denoiser, adapter = denoiser_of(tiny_base)
    assert compile_blocks(denoiser, backend="aot_eager") > 1
    torch.testing.assert_close(passed(denoiser, adapter), plain)
    assert "_orig_mod" not in " ".join(denoiser.state_dict())


def test_a_model_without_repeated_blocks_is_refused():
    with pytest.raises(ConfigError, match="which of its blocks repeat"):
        compile_blocks(torch.nn.Linear(2, 2), backend="eager")


def test_nothing_is_laid_out_anew_on_a_cpu(tiny_base):
    denoiser = open_base(str(tiny_base)).load_denoiser(torch.float32, CPU)
    lay_out(denoiser, CPU, Storage())
    assert denoiser.conv_in.weight.is_contiguous()
