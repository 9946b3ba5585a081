"""What was computed once is used again, and only while everything it was computed from is the same."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from scumble.data.cache import TensorCache, content_key
from scumble.data.encode import PictureEncoder, encode_captions
from scumble.data.scan import scan_folder
from scumble.families.find import open_base


@pytest.fixture
def base(tiny_base):
    return open_base(str(tiny_base))


class Counted:
    """Loads a real encoder, and remembers how often it was asked to."""

    def __init__(self, load):
        self.load, self.times = load, 0

    def __call__(self):
        self.times += 1
        return self.load()


@pytest.fixture
def encode_folder(base, tmp_path, cpu):
    """Encode a folder of pictures; how often that loaded the autoencoder, and the latents."""

    def encode(folder, size_px=32, is_mirrored=False, autoencoder_hash="one"):
        loads = Counted(lambda: base.load_autoencoder(cpu))
        encoder = PictureEncoder(
            channels=4,
            pixels_per_latent=8,
            is_mirrored=is_mirrored,
            cache=TensorCache(tmp_path / "kept"),
            autoencoder_hash=autoencoder_hash,
            load_autoencoder=loads,
            device=cpu,
        )
        latents = list(encoder.encode([(example, (size_px, size_px)) for example in scan_folder(folder).examples]))
        return loads.times, latents

    return encode


@pytest.fixture
def encode_texts(base, tmp_path, cpu):
    def encode(*captions, clip_skip=1, encoder_hash="one"):
        loads = Counted(lambda: base.load_text_encoder(cpu))
        cache = TensorCache(tmp_path / "kept")
        states = encode_captions(captions, clip_skip, cache, base.text_shapes(), encoder_hash, loads)
        return loads.times, states

    return encode


def entries(tmp_path):
    return sorted((tmp_path / "kept").rglob("*.safetensors"))


def test_nothing_changed_so_the_autoencoder_is_not_loaded(encode_folder, photos):
    assert encode_folder(photos)[0] == 1
    times, again = encode_folder(photos)
    assert times == 0
    assert len(again) == 12


def test_what_comes_from_the_cache_is_what_was_computed(encode_folder, photos):
    first, again = encode_folder(photos)[1], encode_folder(photos)[1]
    assert all(torch.equal(a.upright.mean, b.upright.mean) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a.upright.std, b.upright.std) for a, b in zip(first, again, strict=True))


def test_renamed_pictures_are_known_by_their_content(encode_folder, photos):
    encode_folder(photos)
    for path in sorted(photos.iterdir()):
        path.rename(path.with_name("new " + path.name))
    assert encode_folder(photos)[0] == 0


def test_a_changed_picture_is_encoded_again(encode_folder, photos, tmp_path):
    before = encode_folder(photos)[1][0].upright.mean
    with Image.open(photos / "00.png") as picture:
        pixels = np.array(picture)
    pixels[20, 20] ^= 255
    Image.fromarray(pixels).save(photos / "00.png")
    times, after = encode_folder(photos)
    assert times == 1
    assert not torch.equal(after[0].upright.mean, before)
    assert len(entries(tmp_path)) == 13


@pytest.mark.parametrize("change", [{"size_px": 16}, {"autoencoder_hash": "two"}, {"is_mirrored": True}])
def test_another_size_autoencoder_or_mirroring_is_computed_anew(encode_folder, photos, tmp_path, change):
    encode_folder(photos)
    assert encode_folder(photos, **change)[0] == 1
    assert len(entries(tmp_path)) == 24


def test_the_mirrored_latents_are_those_of_the_mirrored_picture(encode_folder, photos, tmp_path):
    mirrored = encode_folder(photos, is_mirrored=True)[1][0].mirrored
    with Image.open(photos / "00.png") as picture:
        other_way = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    (tmp_path / "mirror").mkdir()
    other_way.save(tmp_path / "mirror" / "a.png")
    (tmp_path / "mirror" / "a.txt").write_text("a", encoding="utf-8")
    alone = encode_folder(tmp_path / "mirror")[1][0].upright
    torch.testing.assert_close(mirrored.mean, alone.mean)


def test_each_caption_is_encoded_once(encode_texts, tmp_path):
    times, states = encode_texts("a dog", "a cat", "a dog", "")
    assert times == 1
    assert states.keys() == {"a dog", "a cat", ""}
    assert len(entries(tmp_path)) == 3
    assert encode_texts("a cat", "", "a dog")[0] == 0


@pytest.mark.parametrize(
    ("captions", "options"), [(("a dog!",), {}), (("a dog",), {"clip_skip": 2}), (("a dog",), {"encoder_hash": "two"})]
)
def test_another_caption_clip_skip_or_encoder_is_computed_anew(encode_texts, tmp_path, captions, options):
    encode_texts("a dog")
    assert encode_texts(*captions, **options)[0] == 1
    assert len(entries(tmp_path)) == 2


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-8])


def empty(path):
    path.write_bytes(b"")


def not_finite(path):
    tensors = load_file(path)
    tensors["mean"][0, 0, 0] = float("nan")
    save_file(tensors, path)


def another_shape(path):
    save_file({name: tensor[:, :2].contiguous() for name, tensor in load_file(path).items()}, path)


def another_name(path):
    save_file({"mean": load_file(path)["mean"], "deviation": load_file(path)["std"]}, path)


@pytest.mark.parametrize("damage", [cut_short, empty, not_finite, another_shape, another_name])
def test_a_damaged_entry_is_computed_again_and_mended(encode_folder, photos, tmp_path, damage):
    good = encode_folder(photos)[1]
    for path in entries(tmp_path):
        damage(path)
    times, mended = encode_folder(photos)
    assert times == 1
    assert all(torch.equal(a.upright.mean, b.upright.mean) for a, b in zip(good, mended, strict=True))
    assert encode_folder(photos)[0] == 0


def test_every_ingredient_is_part_of_the_key():
    ingredients = {"picture": "ab", "size_px": 512}
    keys = {
        content_key("latents", ingredients),
        content_key("text", ingredients),
        content_key("latents", {**ingredients, "size_px": 513}),
        content_key("latents", {**ingredients, "picture": "abc"}),
        content_key("latents", {"picture": "ab"}),
        content_key("latents", {**ingredients, "vae": ""}),
    }
    assert len({key.digest for key in keys}) == 6
    assert content_key("latents", {"size_px": 512, "picture": "ab"}) in keys


def test_the_cache_lies_in_the_users_cache_folder_by_default(tmp_path):
    from scumble.data.cache import default_cache_dir

    assert default_cache_dir() == tmp_path / "cache"  # as the fixture own_cache says
