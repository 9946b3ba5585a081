"""The LoRA file of a session: its numbers in canonical form, and the facts of how it came to be."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scumble.families.find import is_local
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.metadata import TrainingFacts, metadata_of
from scumble.train.evaluated import evaluated
from scumble.train.going_on import targets_of
from scumble.train.new_words import in_metadata as in_metadata_of_words
from scumble.train.optimizer_choice import in_metadata
from scumble.train.plan import Plan
from scumble.train.session import Session

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Keeper:
    """Turns a session into LoRA files.

    Attributes:
        plan: the run.
        base_fingerprint: of the adapted base layers, taken once before training; None where there are none.
    """

    plan: Plan
    base_fingerprint: str | None

    def lora_of(self, session: Session, step: int, numbers: Mapping[str, Tensor] | None = None) -> LoraFile:
        """The LoRA as it stands, or with the numbers of an earlier step.

        Args:
            session: tells algorithm, rank and alpha of each layer.
            step: the step the numbers are of.
            numbers: "<canonical key>.<parameter>" -> tensor; None = the present ones to use, see `evaluated`.
        """
        numbers = numbers if numbers is not None else evaluated(session)
        layers = {}
        for key, adapter in session.adapters.items():
            own = {name: numbers[f"{key}.{name}"].detach().cpu() for name, _ in adapter.named_parameters()}
            layers[key] = LoraLayer(adapter.algorithm, adapter.file_tensors(own), adapter.rank, adapter.alpha)
        words = session.new_words.with_numbers(numbers)
        metadata = metadata_of(self._facts(step)) | in_metadata_of_words(words)
        return LoraFile(layers, metadata, embeddings=words)

    def _facts(self, step: int) -> TrainingFacts:
        plan, config, identity = self.plan, self.plan.config, self.plan.base.file_identity()
        train = config.training
        per_step = train.samples_a_step
        assert config.optimizer.learning_rate is not None
        assert config.model.clip_skip is not None
        assert config.data.resolution is not None
        return TrainingFacts(
            output_name=plan.name,
            # no paths in shared files
            base_name=Path(plan.base.name).name if is_local(plan.base.name) else plan.base.name,
            base_version=identity.base_version,
            architecture=identity.architecture,
            is_v2=identity.is_v2,
            implementation=identity.implementation,
            prediction_type=str(config.model.prediction_type),
            rank=config.adapter.rank or 0,
            alpha=config.adapter.alpha or 0.0,
            targets=_targets(plan),
            steps=step,
            max_steps=plan.num_steps,
            epochs=math.ceil(step * per_step / len(plan.split.training)),
            learning_rate=config.optimizer.learning_rate,
            lr_scheduler=plan.rates.schedule,
            optimizer=in_metadata(config.optimizer),
            seed=train.seed,
            resolution=(config.data.resolution, config.data.resolution),
            clip_skip=config.model.clip_skip,
            num_pictures=len(plan.split.training),
            batch_size=per_step,
            trigger=config.data.trigger,
            dataset_name=plan.scan.folder.resolve().name,
            dataset_hash=plan.scan.fingerprint(),
            tag_frequency=Counter(example.caption for example in plan.scan.examples),
            mixed_precision=train.mixed_precision,
            objective=config.objective,
            caption_dropout_rate=config.data.caption_dropout_rate or None,
            fingerprint=self.base_fingerprint,
        )


def _targets(plan: Plan) -> tuple[str, ...]:
    if not plan.layers:
        return ()
    return plan.config.adapter.targets if plan.init is None else targets_of(plan.init)
