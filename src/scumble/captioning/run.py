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
from scumble.captioning.share import gathered, meeting
from scumble.captioning.wording import Wording, is_worded, worded
from scumble.captioning.writable import refuse_unwritable
from scumble.config.caption import CaptionConfig
from scumble.data.captioners.base import Caption, Captioner, Module, Wishes
from scumble.data.captioners.place import find_model
from scumble.data.layouts.found import FoundPicture, is_picture
from scumble.data.names import FIRST, name_in
from scumble.data.pictures import PictureRule, decode_picture
from scumble.device import device_of, is_out_of_memory, memory_advice
from scumble.errors import DataError
from scumble.files.atomic import write_atomically
from scumble.generate.events import Noted
from scumble.processes import Share, share_of
from scumble.quantities import counted


def caption(config: CaptionConfig) -> Iterator[Event]:
    """Write a caption beside each picture that has none, and a page that shows them all.

    Captions that are there stay, so that running again goes on where it stopped, unless `config.overwrite`.

    Raises:
        ConfigError: a setting that cannot be; nothing was written then.
        DataError: no picture, none that could be captioned, or no place to write captions or the page to.
        CaptionerError: the model is not to be had, or not usable.
        OutOfMemoryError: the device has too little memory.
    """
    share = share_of()
    found = find_pictures(config.path, config.caption_column)
    page = config.review or page_beside(config.path)
    check_page(page)
    with meeting(share), memory_advice("use a smaller --batch-size, or --device cpu"):
        outcomes = yield from _caption_share(config, share, found)
        everything = gathered(share, outcomes)
    if everything is None:
        return
    everything.sort(key=lambda outcome: outcome.path)
    failed = [outcome for outcome in everything if outcome.kind == "failed"]
    if len(failed) == len(everything):
        reasons = "; ".join(f"{name_in(outcome.path, found.folder)}: {outcome.text}" for outcome in failed[:FIRST])
        none = f"none of its {len(failed)} pictures has a caption now" if len(failed) > 1 else "it has no caption now"
        raise DataError(f"{config.path}: {none} ({reasons})")
    gives_tags = registry.load("captioner", config.captioner).GIVES_TAGS
    write_page(page, config.path, everything, gives_tags=gives_tags, rule=_rule(config))
    yield Reviewed(everything, page)


def page_beside(path: Path) -> Path:
    """Where the page goes: beside the folder or dataset file; of one picture beside its folder, where it is not among the
    pictures.
    """
    place = path.resolve()
    if place.is_file() and is_picture(place):
        return place.parent.parent / f"{place.parent.name}-{place.stem}-captions.html"
    return place.parent / f"{place.name}-captions.html"


def _rule(config: CaptionConfig) -> PictureRule:
    return PictureRule(first_frame=config.first_frame)


def _caption_share(config: CaptionConfig, share: Share, found: Found) -> Generator[Event, None, list[Outcome]]:
    """Caption the pictures of this process; returns what became of each of them."""
    if share.index == 0:
        yield from (Noted(note) for note in found.notes)
    others = twins(found.pictures)
    mine = share.of(found.pictures)
    known = [_known_before(picture, others.get(picture.path), overwrite=config.overwrite) for picture in mine]
    outcomes = [outcome for outcome in known if outcome is not None]
    todo = [picture for picture, outcome in zip(mine, known, strict=True) if outcome is None]
    outcomes += [Outcome(each.path, "failed", each.reason) for each in share.of(found.unread)]
    yield from _ahead(config, share, outcomes, len(todo))
    yield from (_failure(outcome, found.folder) for outcome in outcomes if outcome.kind == "failed")
    if todo:
        outcomes += yield from _caption_all(config, share, todo, found.folder)
    return outcomes


def _ahead(config: CaptionConfig, share: Share, outcomes: Sequence[Outcome], num_todo: int) -> Iterator[Noted]:
    """What is known before any picture is captioned: how many there are, and which captions stay other than asked for."""
    kept = [outcome.text for outcome in outcomes if outcome.kind == "kept"]
    parts = [f"{num_todo} to caption"]
    parts += [f"{len(kept)} with a caption"] if kept else []
    parts += [f"{len(outcomes) - len(kept)} that cannot have one"] if len(outcomes) > len(kept) else []
    yield Noted(f"{counted(num_todo + len(outcomes), 'picture')}{share.words}: {', '.join(parts)}")
    gives_tags = registry.load("captioner", config.captioner).GIVES_TAGS
    others = sum(not is_worded(text, _wording(config), gives_tags=gives_tags) for text in kept)
    if others:
        given = [f"--{name}" for name in ("trigger", "prefix", "suffix", "forbidden") if getattr(config, name)]
        stay = counted(others, "caption from before stays as it is", "captions from before stay as they are")
        yield Noted(f"{stay}, not as {', '.join(given)} would have it: --overwrite writes all anew", warning=True)


def _wording(config: CaptionConfig) -> Wording:
    return Wording(config.trigger, config.prefix, config.suffix, config.forbidden)


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
    config: CaptionConfig, share: Share, todo: Sequence[FoundPicture], root: Path
) -> Generator[Event, None, list[Outcome]]:
    module: Module = registry.load("captioner", config.captioner)
    name = config.model or module.DEFAULT_MODEL
    assert name is not None, "the settings ask for a model where there is no default"
    device = device_of(share, config.device)
    for folder in dict.fromkeys(caption_path(picture).parent for picture in todo):
        refuse_unwritable(folder, "captions")
    yield Noted(f"captions by {config.captioner}, {name}, on {device}")
    wishes = _wishes(config)
    captioner = module.open_captioner(find_model(name, module.WANTED), wishes, device)
    yield from (Noted(note, warning=True) for note in captioner.notes)
    outcomes: list[Outcome] = []
    num_cut = 0
    began = monotonic()
    for start in range(0, len(todo), config.batch_size):
        batch = todo[start : start + config.batch_size]
        for outcome, is_cut in _caption_batch(captioner, name, batch, config, gives_tags=module.GIVES_TAGS):
            outcomes.append(outcome)
            num_cut += is_cut
            if outcome.kind == "failed":
                yield _failure(outcome, root)
            elif share.index == 0:  # the others have as many: one progress stands for all
                left = (monotonic() - began) / (start + len(batch)) * (len(todo) - len(outcomes))
                yield Captioned(outcome.path, outcome.text, len(outcomes), len(todo), left)
    if num_cut:
        yield Noted(_cut(num_cut, captioner.max_tokens, wishes.max_tokens), warning=True)
    return outcomes


def _cut(number: int, max_tokens: int | None, wished: int) -> str:
    assert max_tokens is not None, "captions are cut where their tokens are counted"
    were = counted(number, "caption was", "captions were")
    more = "--max-tokens allows more" if max_tokens == wished else "the model writes no longer ones"
    return f"{were} cut after {counted(max_tokens, 'token')}; {more}"


def _wishes(config: CaptionConfig) -> Wishes:
    """The settings that were given; the others are the captioners' own."""
    given = {field.name: getattr(config, field.name) for field in fields(Wishes)}
    return Wishes(**{name: value for name, value in given.items() if value is not None})


def _caption_batch(
    captioner: Captioner, name: str, batch: Sequence[FoundPicture], config: CaptionConfig, *, gives_tags: bool
) -> Iterator[tuple[Outcome, bool]]:
    """What became of each picture, and whether its caption was cut."""
    readable: list[FoundPicture] = []
    images: list[Image.Image] = []
    for picture in batch:
        try:
            images.append(decode_picture(picture.path, _rule(config)))
            readable.append(picture)
        except DataError as error:
            yield Outcome(picture.path, "failed", str(error)), False
    if not images:
        return
    for picture, said in zip(readable, _said(captioner, images), strict=True):
        if isinstance(said, str):
            yield Outcome(picture.path, "failed", f"{name} fails on it: {said}"), False
            continue
        text = worded(said.text, _wording(config), gives_tags=gives_tags)
        if not text:
            yield Outcome(picture.path, "failed", _why_empty(said.text)), False
            continue
        write_atomically(caption_path(picture), f"{text}\n".encode())
        yield Outcome(picture.path, "written", text), said.is_cut


def _said(captioner: Captioner, images: Sequence[Image.Image]) -> list[Caption | str]:
    """What the model says of each picture, or how it fails: a picture that it cannot take is alone in that.

    Raises:
        RuntimeError: the device ran out of memory.
    """
    try:
        return [*captioner.caption(images)]
    except (IndexError, ValueError, RuntimeError) as error:  # the models' own code answers odd input with these
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise
        if len(images) == 1:
            first_line = (str(error).strip().splitlines() or [""])[0]
            return [f"{type(error).__name__}: {first_line}"]
        return [said for image in images for said in _said(captioner, [image])]


def _why_empty(said: str) -> str:
    if said.strip():
        return f"without the forbidden words nothing is left of '{said.strip()}'"
    return "the model says nothing about it"


def _failure(outcome: Outcome, root: Path) -> Noted:
    return Noted(f"no caption: {name_in(outcome.path, root)}: {outcome.text}", warning=True)
