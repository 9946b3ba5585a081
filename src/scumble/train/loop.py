"""The training run, as a generator of events: to stop it, stop asking; it saves before it goes."""

from collections.abc import Generator, Iterator
from functools import partial
from time import monotonic

from scumble.config import TrainConfig, write_toml
from scumble.data.cache import default_cache_dir
from scumble.data.cache_use import cache_in_use
from scumble.device import has_memory_of_its_own, memory_advice, release_memory
from scumble.edit.programs.readings import in_words, readings_of
from scumble.errors import DivergedError
from scumble.families.layers import table_of
from scumble.files.atomic import write_atomically
from scumble.files.places import words_beside
from scumble.files.read import write_lora, write_words
from scumble.generate.events import Noted
from scumble.train.card import planned
from scumble.train.checkpoint import read_newest_checkpoint
from scumble.train.compiling import Compiling, may_compile
from scumble.train.deterministic import deterministic_algorithms
from scumble.train.disk import disk_advice, write_png
from scumble.train.evaluated import evaluating, holding
from scumble.train.events import Event, Finished, Saved, Stepped, Validated
from scumble.train.identity import refuse_another_run
from scumble.train.journal import PROGRAMS, PROOF, facts_of, journaled
from scumble.train.keep import PRECISIONS, Keeper
from scumble.train.material import Material, prepare_material
from scumble.train.peers import Peers, joined
from scumble.train.pictures import scan_rule, survey_pictures
from scumble.train.plan import Plan, make_plan
from scumble.train.prefetch import Batches, prefetched
from scumble.train.prior import find_classes
from scumble.train.proof import prove
from scumble.train.recovery import keep_good, recover, restore_checkpoint
from scumble.train.results import exported, results
from scumble.train.runfolder import RunFolder, another_run_in, holds_run, open_run, write_json
from scumble.train.samples import sample_prompts
from scumble.train.saving import save_checkpoint, save_lora, saved_at_the_end, write_curves
from scumble.train.session import Session
from scumble.train.sheet import data_sheet, draw_sheet
from scumble.train.shown import sample
from scumble.train.start import start_session
from scumble.train.step import advance, memory_ran_out
from scumble.train.surroundings import peak_memory, surroundings
from scumble.train.tracker import open_trackers, tracked
from scumble.train.validation import measure
from scumble.train.verdicts import verdicts

MEMORY_ADVICE = (
    "try gradient_checkpointing, a smaller train_batch_size with more gradient_accumulation_steps, "
    "mixed_precision bf16 or fp16, base_packing, group_offload, vae_tiling, or a smaller resolution"
)
PREPARED = "prepared"
"""Where processes wait until the first one has filled the caches."""


def train(config: TrainConfig) -> Iterator[Event]:
    """Train a LoRA; the pictures are looked at, and the Planned event comes before all but the cache is written.

    Closing the generator (or leaving the loop over it) once the steps have begun saves a checkpoint first, so that
    `resume` goes on from there exactly.

    Args:
        config: the settings; what is left open is chosen and shown on the card.
    Yields:
        Prepared, Noted, Planned, Stepped, Validated, Saved, Sampled, and at the end Finished.
    Raises:
        ScumbleError: of the kind that says what is wrong.
    """
    scan, data = yield from survey_pictures(config.data, scan_rule(config.data))
    plan = make_plan(config.model_copy(update={"data": data}), scan)
    yield from announced(plan)
    yield from run_plan(plan)


def announced(plan: Plan) -> Iterator[Event]:
    """What a person should know of a plan before it is run, and its card."""
    output = plan.config.output
    yield from plan.notes
    if not (output.resume or output.overwrite) and holds_run(folder_of(plan)):
        yield Noted(another_run_in(plan.folder), warning=True)
    yield planned(plan)


def folder_of(plan: Plan) -> RunFolder:
    """Where a run writes."""
    return RunFolder(plan.folder, plan.name, plan.lora_suffix)


def run_plan(plan: Plan) -> Iterator[Event]:
    """Train what was planned; see `train`."""
    output, run = plan.config.output, folder_of(plan)
    cache = cache_in_use(plan.config.data.cache_dir or default_cache_dir())
    kernels = deterministic_algorithms(plan.config.training.deterministic)
    met = joined(plan.share, plan.device, plan.config.training.process_timeout)
    with disk_advice(run.path), memory_advice(MEMORY_ADVICE), kernels, cache, met as peers:
        if output.resume:
            _refuse_another_run(plan, run)
        if not peers.is_main:
            yield from _run_beside(plan, run, peers)
            return
        with open_run(run, output.resume, output.overwrite):
            facts = {**facts_of(plan), **surroundings(plan.device), "card": planned(plan).card}
            used = partial(peak_memory, plan.device)
            yield from journaled(_run(plan, run, peers), run.journal, facts, output.resume, used)


def _refuse_another_run(plan: Plan, run: RunFolder) -> None:
    """Raise before anything is encoded, or noted in a journal that is not of this run, see `refuse_another_run`."""
    newest = read_newest_checkpoint(run.checkpoints)
    if newest is not None:
        refuse_another_run(plan, newest.state["identity"])


def _run_beside(plan: Plan, run: RunFolder, peers: Peers) -> Iterator[Event]:
    """What a process does that takes its share of the steps, and writes nothing."""
    peers.wait(PREPARED)  # the first one draws class pictures and fills the caches
    classes = yield from find_classes(plan, run)
    material = yield from prepare_material(plan, classes, [])
    session = yield from _started(plan, run, peers)
    yield from _steps(plan, run, session, material, Keeper(plan, session.base_fingerprint))


def _run(plan: Plan, run: RunFolder, peers: Peers) -> Iterator[Event]:
    if not (plan.config.output.resume and run.config.exists()):
        write_atomically(run.config, write_toml(_repeatable(plan.config)).encode())
    write_json(run.data_sheet, data_sheet(plan))
    write_png(run.sheet, draw_sheet(plan.scan.examples, f"{plan.name}: {len(plan.scan.examples)} pictures"))
    classes = yield from find_classes(plan, run)
    material = yield from prepare_material(plan, classes, sample_prompts(plan))
    peers.wait(PREPARED)
    session = yield from _started(plan, run, peers)
    keeper = Keeper(plan, session.base_fingerprint)
    with open_trackers(plan, run, session.step) as trackers, saved_at_the_end(plan, run, session):
        yield from tracked(_steps(plan, run, session, material, keeper), trackers)
    yield from _finish(plan, run, session, material, keeper)


def _repeatable(config: TrainConfig) -> TrainConfig:
    """The settings without what only this start meant."""
    output = config.output.model_copy(update={"resume": False, "overwrite": False})
    return config.model_copy(update={"output": output})


def _started(plan: Plan, run: RunFolder, peers: Peers) -> Generator[Event, None, Session]:
    release_memory(plan.device)  # of the autoencoder and the text encoder
    session = yield from start_session(plan)
    session.peers = peers
    yield from _resume(plan, run, session)
    peers.refuse_difference(session.adapter, session.step)
    return session


def _resume(plan: Plan, run: RunFolder, session: Session) -> Iterator[Event]:
    if not plan.config.output.resume:
        return
    checkpoint = read_newest_checkpoint(run.checkpoints)
    if checkpoint is None:
        yield Noted(f"no checkpoint in {run.checkpoints} yet: starting from the beginning", warning=True)
        return
    for reason in checkpoint.damaged:
        yield Noted(f"checkpoint passed over: {reason}", warning=True)
    restore_checkpoint(session, checkpoint, plan.config.training.on_nan)
    yield Noted(f"going on from step {checkpoint.step} ({checkpoint.path.name})")


def _steps(plan: Plan, run: RunFolder, session: Session, material: Material, keeper: Keeper) -> Iterator[Event]:
    train = plan.config.training
    end, stride = plan.num_steps * train.samples_a_step, plan.share.count
    assert train.dataloader_num_workers is not None
    is_pinned = has_memory_of_its_own(plan.device)
    compiling = Compiling(session.denoiser, bool(train.torch_compile), may_compile(train, plan.device, plan.storage))
    with prefetched(material.mixture, train.dataloader_num_workers, end, stride, pinned=is_pinned) as batches:
        while True:
            try:
                yield from _at_intervals(plan, run, session, material, keeper)  # or what a stop left undone of it
                keep_good(session, train.on_nan)
                if session.step >= plan.num_steps or _is_patience_over(plan, session):
                    break
                yield from _step(plan, session, batches, compiling)
            except DivergedError as error:
                yield recover(session, error, train.on_nan)
    if _is_patience_over(plan, session):
        yield Noted(
            f"stopped early at step {session.step}: {plan.config.validation.patience} validations in a row were not "
            f"better than {session.best_loss:.4f} of step {session.best_step}"
        )


def _step(plan: Plan, session: Session, batches: Batches, compiling: Compiling) -> Iterator[Event]:
    """The next step, unless it is left out."""
    if session.step + 1 in session.faults.skipped:
        session.step += 1
        return
    optimizer, train, parts = plan.config.optimizer, plan.config.training, session.faults.parts
    rate = session.faults.rate_factor * plan.rates.at(session.step)
    step = partial(
        advance, session, batches, train.train_batch_size, train.batches_a_step, rate, optimizer.max_grad_norm
    )
    started = monotonic()
    try:
        loss = step()
    except Exception as error:  # of a compiler any; what has nothing to do with it goes on
        noted = compiling.gave_up(error)
        if noted is None:
            raise
        yield noted
        loss = step()
    seconds = monotonic() - started
    yield Stepped(session.step, plan.num_steps, loss, rate, seconds)
    yield from compiling.after_step(seconds, plan.num_steps - session.step)
    if session.faults.parts != parts:
        yield Noted(memory_ran_out(session, train.train_batch_size), warning=True)


def _at_intervals(plan: Plan, run: RunFolder, session: Session, material: Material, keeper: Keeper) -> Iterator[Event]:
    """What a step's number calls for and is not there yet: validation, sample pictures, a checkpoint."""
    val, step, is_last = plan.config.validation, session.step, session.step == plan.num_steps
    assert val.validation_steps is not None
    assert plan.config.output.checkpointing_steps is not None
    is_validated = bool(session.validations) and session.validations[-1][0] == step
    if (step % val.validation_steps == 0 or is_last) and not is_validated:
        yield _validate(plan, session, material)
    if step == 0 or not session.peers.is_main:
        return
    is_sampled = val.sample_steps is not None and (step % val.sample_steps == 0 or is_last)
    is_checkpoint = step % plan.config.output.checkpointing_steps == 0 and not is_last
    if is_sampled or is_checkpoint:
        yield Saved(step, save_lora(plan, run, session, keeper), "LoRA")
    if is_sampled and not run.samples_at(step).exists():
        yield from sample(plan, run, session, material.prompts)
    if is_checkpoint:
        yield Saved(step, save_checkpoint(plan, run, session), "checkpoint")


def _is_patience_over(plan: Plan, session: Session) -> bool:
    patience = plan.config.validation.patience
    return patience is not None and session.validations_since_best() >= patience


def _validate(plan: Plan, session: Session, material: Material) -> Validated:
    with evaluating(session):
        measured = measure(session, material.held_out)
        loss = session.peers.as_the_first(measured.loss, session.device)
        best = session.keep_best(loss)
    session.bands.append((session.step, measured.bands))
    losses = tuple(measured.losses.tolist())
    return Validated(session.step, loss, best, bool(plan.split.held_out), measured.bands, losses)


def _finish(plan: Plan, run: RunFolder, session: Session, material: Material, keeper: Keeper) -> Iterator[Event]:
    """Write the last checkpoint, the last and the best LoRA, prove that each means what was trained, draw the curves."""
    output = plan.config.output
    write_curves(plan, run, session)
    checkpoint = save_checkpoint(plan, run, session)
    made = results(plan, run, session, keeper)
    last = made["LoRA"]
    for path, lora, _ in made.values():
        write_lora(lora, path, output.format, PRECISIONS[output.save_precision])
        write_words(lora, path)
    for what, result in made.items():
        yield Saved(result.step, result.path, what)
    yield from verdicts(plan, session, material)
    if session.best_step == 0:
        yield Noted(f"no validation was better than that of the start: {run.best_lora.name} is the start", warning=True)
    yield Saved(session.step, checkpoint, "checkpoint")
    with holding(session, exported(plan, session)):
        proof = prove(session, material.held_out[0], run.lora, PRECISIONS[output.save_precision])
    yield Noted(f"proved: {proof}", about=PROOF)
    yield Noted(
        f"what other programs apply of it: {in_words(readings_of(run.lora, last.lora, table_of(plan.base, weights=False)))}",
        about=PROGRAMS,
    )
    prompt = plan.scan.examples[0].caption.replace('"', "'")
    yield Noted(f'see it beside its base: scumble compare --lora "{run.lora}" --prompt "{prompt}"')
    figures = {
        "best_validation_loss": session.best_loss,
        "last_validation_loss": session.validations[-1][1],
        "weight_error": proof.weight_error,
        "effect_error": proof.effect_error,
    }
    files = {what: result.path for what, result in made.items()}
    files |= {"words": words_beside(run.lora)} if last.lora.embeddings else {}
    yield Finished(session.step, {**files, "curves": run.curves, "settings": run.config}, figures)
