"""Frozen weights that lie elsewhere: the same numbers to the bit, few of them on the device, fetched ahead in the order
of use."""

import tempfile
from collections import Counter

import pytest
import torch
from torch import nn

from scumble.adapters.inject import attach, eject, fold, unfold
from scumble.adapters.offload import AHEAD, Ferry
from scumble.adapters.pack import INNER, Storage, store, stored_bytes
from scumble.adapters.stored import StoredLayer
from scumble.adapters.targets import find_targets
from scumble.device import full_float32
from scumble.families.find import open_base

OFFLOADED = Storage(None, is_offloaded=True)
STORAGES = {
    "offloaded": OFFLOADED,
    "nf4": Storage("nf4"),
    "int8": Storage("int8"),
    "nf4, offloaded": Storage("nf4", is_offloaded=True),
    "int8, offloaded": Storage("int8", is_offloaded=True),
}


@pytest.fixture
def load(tiny_base):
    base = open_base(str(tiny_base))

    def build(storage=None, device="cpu", dtype=torch.float32):
        device = torch.device(device)
        model = base.load_denoiser(dtype, device if storage is None else storage.loaded_on(device))
        return model if storage is None else store(model, storage, device)

    return build


@pytest.fixture
def pass_through(trained_adapters):
    """What a pass through a denoiser with adapters gives: its output, and the gradients of all that is trained."""

    def run(model, is_checkpointed=False, times=1):
        if "lora" not in getattr(model, "had", ()):
            attach(model, "lora", trained_adapters(model, ("all-linear", "all-conv")))
            model.had = ("lora",)
        model.to(next(model.parameters()).device)
        if is_checkpointed:
            model.enable_gradient_checkpointing()
        weight = next(model.parameters())
        source = torch.Generator().manual_seed(5)
        noisy = torch.randn(2, 4, 4, 4, generator=source).to(weight)
        states = torch.randn(2, 77, 32, generator=source).to(weight)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for _ in range(times):
            output = model(noisy, torch.tensor([3, 700], device=weight.device), states, return_dict=False)[0]
            gradients = torch.autograd.grad(output.float().square().mean(), trained)
        return [output.detach(), *gradients]

    return run


def ferry_of(model):
    return next(module._ferry for module in model.modules() if isinstance(module, StoredLayer))


def all_equal(one, other):
    return len(one) == len(other) > 100 and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("is_checkpointed", [False, True], ids=["plain", "checkpointed"])
def test_outputs_and_gradients_are_those_of_the_model_to_the_bit(load, pass_through, is_checkpointed, dtype):
    ours = pass_through(load(OFFLOADED, dtype=dtype), is_checkpointed)
    assert all_equal(ours, pass_through(load(dtype=dtype), is_checkpointed))


@pytest.mark.parametrize("packing", ["nf4", "int8"])
def test_packed_bytes_are_the_same_wherever_they_lie(load, pass_through, packing):
    here, elsewhere = (pass_through(load(Storage(packing, away))) for away in (False, True))
    assert all_equal(here, elsewhere)
    assert not torch.equal(here[0], pass_through(load())[0])


def test_gradient_checkpointing_gives_the_same_gradients_and_keeps_less(load, pass_through):
    kept = Counter()

    def keep(tensor, name):
        kept[name] += tensor.numel()
        return tensor

    results = {}
    for is_checkpointed in (False, True):
        model = load()
        with torch.autograd.graph.saved_tensors_hooks(lambda t, n=is_checkpointed: keep(t, n), lambda t: t):
            results[is_checkpointed] = pass_through(model, is_checkpointed)
    assert all_equal(results[False], results[True])
    assert kept[True] < 0.7 * kept[False]


@pytest.mark.parametrize("is_checkpointed", [False, True], ids=["plain", "checkpointed"])
def test_from_the_second_pass_on_everything_is_fetched_ahead_and_once_a_use(
    load, pass_through, is_checkpointed, monkeypatch
):
    model = load(OFFLOADED)
    ferry, log = ferry_of(model), []
    send, give_back = ferry._send, ferry._give_back
    monkeypatch.setattr(ferry, "_send", lambda index: log.append("copy") or send(index))
    monkeypatch.setattr(ferry, "_give_back", lambda: log.append("use") or give_back())
    late = []
    bring = ferry.bring

    def watched(index, is_backward=False):
        is_here = index in ferry._coming or (ferry._present is not None and ferry._present.index == index)
        late.append(not is_here)
        numbers = bring(index, is_backward)
        assert ferry.bytes_on_device <= (AHEAD + 1) * max(sum(n.nbytes for n in kept) for kept in ferry._kept)
        return numbers

    monkeypatch.setattr(ferry, "bring", watched)
    pass_through(model, is_checkpointed, times=2)
    assert any(late)
    log.clear()
    late.clear()
    pass_through(model, times=2)
    counted = Counter(log)
    assert not any(late)
    assert counted["copy"] == counted["use"] > 100


def test_another_order_is_followed_too(cpu):
    ferry = Ferry(cpu, ahead=2)
    numbers = [torch.full((3,), float(index)) for index in range(5)]
    assert [ferry.keep([each]) for each in numbers] == [0, 1, 2, 3, 4]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1], [0, 0, 3, 3, 1, 2, 4], [1, 1, 1]) * 3:
        for index in order:
            (found,) = ferry.bring(index)
            assert torch.equal(found, numbers[index])
            assert ferry.bytes_on_device <= 3 * numbers[0].nbytes
    assert ferry.kept_bytes == 5 * numbers[0].nbytes


@pytest.mark.parametrize("name", STORAGES)
def test_what_is_foretold_of_bytes_is_what_is_there(load, name):
    storage = STORAGES[name]
    plain, model = load(), load(storage)
    foretold = stored_bytes(plain, torch.float32, storage)
    found = [*model.parameters(), *model.buffers()]
    assert foretold.layers == sum(isinstance(module, StoredLayer) for module in model.modules())
    assert foretold.plain == sum(parameter.nbytes for parameter in plain.parameters())
    assert foretold.on_device == sum({id(tensor): tensor.nbytes for tensor in found}.values())
    assert foretold.elsewhere == (ferry_of(model).kept_bytes if storage.is_offloaded else 0)
    assert foretold.on_device < foretold.plain


@pytest.mark.parametrize("name", STORAGES)
def test_adapters_are_folded_in_and_taken_off_again(load, ask, trained_adapters, name):
    model = load(STORAGES[name])
    plain = ask(model)
    layers = {path: model.get_submodule(path) for path in find_targets(model, INNER)}
    attach(model, "lora", trained_adapters(model))
    with torch.no_grad():
        running = ask(model)
        fold(model)
        torch.testing.assert_close(ask(model), running, rtol=1e-4, atol=1e-5)
        unfold(model)
        assert torch.equal(ask(model), running)
        eject(model)
        assert torch.equal(ask(model), plain)
    assert all(model.get_submodule(path) is layer for path, layer in layers.items())


def test_diffusers_hooks_swap_what_a_backward_pass_still_needs(cpu):
    """Why decision 13 does without them: if this fails, they have become fit for training."""
    from diffusers.hooks import apply_group_offloading

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)).requires_grad_(False)
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    (wanted,) = torch.autograd.grad(model(x).square().sum(), x)
    layer = model[0]
    output = layer(x)
    layer.weight.data = torch.zeros_like(layer.weight)  # as the hooks do after the forward pass
    (found,) = torch.autograd.grad(output.square().sum(), x)
    assert not found.any()
    linear = nn.Linear(4, 4).requires_grad_(False)
    storage = linear.weight.untyped_storage().data_ptr()
    output = linear(torch.randn(2, 4, requires_grad=True))
    linear.weight.data = torch.zeros_like(linear.weight)
    assert output.grad_fn._saved_mat2.untyped_storage().data_ptr() == storage  # right, but nothing left the device
    with tempfile.TemporaryDirectory() as folder:
        apply_group_offloading(model, cpu, cpu, "leaf_level", offload_to_disk_path=folder)
        (found,) = torch.autograd.grad(model(x).square().sum(), x)
    assert not torch.allclose(found, wanted)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("packing", [None, "nf4", "int8"])
def test_on_a_gpu_the_result_is_the_same_and_the_peak_is_lower(load, pass_through, packing):
    with full_float32():  # TF32 turns what the order of a sum does to the last bits into differences of its own size
        here = pass_through(load(Storage(packing), "cuda"), times=3)
        model = load(Storage(packing, is_offloaded=True), "cuda")
        away = pass_through(model, times=3)
    for one, other in zip(here, away, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)  # its convolutions add up in any order
    del model, here, away
    peaks = {}
    for is_offloaded in (False, True):
        model = wide(Storage(packing, is_offloaded))
        x = torch.randn(8, 2048, device="cuda", requires_grad=True)
        for _ in range(3):
            torch.cuda.reset_peak_memory_stats()
            model(x).square().mean().backward()
            torch.cuda.synchronize()
        peaks[is_offloaded] = torch.cuda.max_memory_allocated()
        del model
    stored = 24 * 2048**2 * {None: 4, "nf4": 0.5, "int8": 1}[packing]
    assert peaks[False] - peaks[True] > 0.5 * stored


def wide(storage):
    """24 layers of 16 MiB on a GPU."""
    model = nn.Module()
    model.down_blocks = nn.ModuleList(nn.Linear(2048, 2048, bias=False) for _ in range(24)).requires_grad_(False)
    device = torch.device("cuda")
    store(model.to(storage.loaded_on(device)), storage, device)
    return nn.Sequential(*model.down_blocks)
