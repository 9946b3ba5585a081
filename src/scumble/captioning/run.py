"""Caption: from settings to a text beside each picture, told as events."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from time import monotonic

from PIL import Image

from scumble import registry
from scumble.captioning.events import Captioned, Event, Outcome, Reviewed
from scumble.captioning.found import (
    Found,
    caption_path,
    contradicting,
    find_pictures,
    present_caption,
    twins,
)
from scumble.captioning.review import check_page, write_page
from scumble.captioning.share import Share, device_of, gathered, meeting, share_of
from scumble.captioning.wording import Wording, worded
from scumble.config.caption import CaptionConfig
from scumble.data.captioners.base import Captioner, Module, Wishes
from scumble.data.captioners.place import find_model
from scumble.data.layouts.found import FoundPicture
from scumble.data.pictures import decode_picture
from scumble.errors import DataError
from scumble.files.atomic import write_atomically
from scumble.generate.device import memory_advice
from scumble.generate.events import Noted


def caption(config: CaptionConfig) -> Iterator[Event]:
    """Write a caption beside each picture that has none, and a page that shows them all.

    Captions that are there stay, so that running again goes on where it stopped, unless `config.overwrite`.

    Raises:
        ConfigError: a setting that cannot be; nothing was written then.
        DataError: no picture, or none that could be captioned.
        CaptionerError: the model is not to be had, or not usable.
        OutOfMemoryError: the device has too little memory.
    """
    share = share_of()
    found = find_pictures(config.path)
    page = config.review or _beside(config.path)
    check_page(page)
    with meeting(share), memory_advice("use a smaller --batch-size, or --device cpu"):
        outcomes = yield from _caption_share(config, share, found)
        everything = gathered(share, outcomes)
    if everything is None:
        return
    everything.sort(key=lambda outcome: outcome.path)
    failed = [outcome for outcome in everything if outcome.kind == "failed"]
    if len(failed) == len(everything):
        reasons = "; ".join(f"{outcome.path.name}: {outcome.text}" for outcome in failed[:3])
        raise DataError(f"{config.path}: none of its {len(failed)} pictures has a caption now ({reasons})")
    gives_tags = registry.load("captioner", config.captioner).GIVES_TAGS
    write_page(page, config.path, everything, gives_tags=gives_tags)
    yield Reviewed(everything, page)


def _beside(path: Path) -> Path:
    place = path.resolve()
    return place.with_name(f"{place.stem if place.is_file() else place.name}-captions.html")


def _caption_share(config: CaptionConfig, share: Share, found: Found) -> Generator[Event, None, list[Outcome]]:
    """Caption the pictures of this process; returns what became of each of them."""
    if share.index == 0:
        yield from (Noted(note) for note in found.notes)
    others = twins(found.pictures)
    mine = share.of(found.pictures)
    known = [_known_before(picture, others.get(picture.path), overwrite=config.overwrite) for picture in mine]
    outcomes = [outcome for outcome in known if outcome is not None]
    todo = [picture for picture, outcome in zip(mine, known, strict=True) if outcome is None]
    yield Noted(f"{len(mine)} pictures{share.words}, {len(todo)} of them to caption")
    outcomes += [Outcome(each.path, "failed", each.reason) for each in share.of(found.unread)]
    yield from (_failure(outcome) for outcome in outcomes if outcome.kind == "failed")
    if todo:
        outcomes += yield from _caption_all(config, share, todo)
    return outcomes


def _known_before(picture: FoundPicture, twin: Path | None, *, overwrite: bool) -> Outcome | None:
    """What becomes of a picture that no model has to see; None = one has to."""
    if twin is not None:
        reason = f"{twin.name} has the same name, and so the same caption file: rename one"
        return Outcome(picture.path, "failed", reason)
    if overwrite:
        other = contradicting(picture)
        if other is not None:
            return Outcome(
                picture.path, "failed", f"{other.name} would say something else than the new caption: remove it"
            )
        return None
    try:
        text = present_caption(picture)
    except DataError as error:
        return Outcome(picture.path, "failed", str(error))
    return Outcome(picture.path, "kept", text) if text else None


def _caption_all(
    config: CaptionConfig, share: Share, todo: Sequence[FoundPicture]
) -> Generator[Event, None, list[Outcome]]:
    module: Module = registry.load("captioner", config.captioner)
    name = config.model or module.DEFAULT_MODEL
    assert name is not None, "the settings ask for a model where there is no default"
    device = device_of(share, config.device)
    yield Noted(f"captions by {config.captioner}, {name}, on {device}")
    wishes = _wishes(config)
    captioner = module.open_captioner(find_model(name, module.WANTED), wishes, device)
    yield from (Noted(note, warning=True) for note in captioner.notes)
    wording = Wording(config.trigger, config.prefix, config.suffix, config.forbidden)
    outcomes: list[Outcome] = []
    num_cut = 0
    began = monotonic()
    for start in range(0, len(todo), config.batch_size):
        batch = todo[start : start + config.batch_size]
        for outcome, is_cut in _caption_batch(captioner, batch, wording, gives_tags=module.GIVES_TAGS):
            outcomes.append(outcome)
            num_cut += is_cut
            if outcome.kind == "failed":
                yield _failure(outcome)
            elif share.index == 0:  # the others have as many: one progress stands for all
                left = (monotonic() - began) / (start + len(batch)) * (len(todo) - len(outcomes))
                yield Captioned(outcome.path, outcome.text, len(outcomes), len(todo), left)
    if num_cut:
        yield Noted(
            f"{num_cut} captions were cut after {wishes.max_tokens} tokens; --max-tokens allows more", warning=True
        )
    return outcomes


def _wishes(config: CaptionConfig) -> Wishes:
    """The settings that were given; the others are the captioners' own."""
    given = {field.name: getattr(config, field.name) for field in fields(Wishes)}
    return Wishes(**{name: value for name, value in given.items() if value is not None})


def _caption_batch(
    captioner: Captioner, batch: Sequence[FoundPicture], wording: Wording, *, gives_tags: bool
) -> Iterator[tuple[Outcome, bool]]:
    """What became of each picture, and whether its caption was cut."""
    readable: list[FoundPicture] = []
    images: list[Image.Image] = []
    for picture in batch:
        try:
            images.append(decode_picture(picture.path))
            readable.append(picture)
        except DataError as error:
            yield Outcome(picture.path, "failed", str(error)), False
    if not images:
        return
    for picture, said in zip(readable, captioner.caption(images), strict=True):
        text = worded(said.text, wording, gives_tags=gives_tags)
        if not text:
            yield Outcome(picture.path, "failed", _why_empty(said.text)), False
            continue
        write_atomically(caption_path(picture), f"{text}\n".encode())
        yield Outcome(picture.path, "written", text), said.is_cut


def _why_empty(said: str) -> str:
    if said.strip():
        return f"without the forbidden words nothing is left of '{said.strip()}'"
    return "the model says nothing about it"


def _failure(outcome: Outcome) -> Noted:
    return Noted(f"no caption: {outcome.path.name}: {outcome.text}", warning=True)
