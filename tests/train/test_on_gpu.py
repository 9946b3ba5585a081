"""Compiling is chosen by a rule that a resumed run repeats, and changes no number but by rounding."""

import pytest
import torch

from scumble.adapters.build import new_adapter
from scumble.adapters.inject import attach
from scumble.adapters.pack import Storage
from scumble.config import AdapterConfig, TrainingConfig
from scumble.errors import ConfigError
from scumble.families.find import open_base
from scumble.train import draws
from scumble.train.on_gpu import chosen_compiling, compile_blocks, lay_out
from scumble.train.recipes import recipe_for

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def chosen(device=CUDA, steps=2000, resolution=512, **settings):
    return chosen_compiling(TrainingConfig(**settings), device, steps, resolution)


def test_a_long_run_on_a_gpu_compiles_and_a_short_one_does_not():
    pytest.importorskip("triton")
    assert chosen() is True
    assert chosen(steps=800) is None
    assert chosen(steps=800, train_batch_size=4) is True
    assert chosen(steps=800, resolution=1024) is True
    assert chosen(resolution=256) is None
    assert chosen(base_packing="nf4") is None


def test_a_cpu_never_compiles():
    assert chosen(CPU, steps=10**6) is None
    with pytest.raises(ConfigError, match="longer than it saves"):
        chosen(CPU, torch_compile=True)


def test_what_was_said_holds():
    assert chosen(torch_compile=False) is False
    assert chosen(steps=1, torch_compile=True) is True


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
