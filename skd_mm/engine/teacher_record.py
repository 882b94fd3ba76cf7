"""Recording the teacher of a run, so that it resumes with the same one."""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from skd_mm.distillers.networks import load_weights


class TeacherRecord:
    """Record of the teacher in checkpoints.

    ``model.teacher.checkpoint`` may be a pattern, such as ``best_*.pth``, or a file that another run writes. When a run
    is resumed, it may match other weights than before.

    Args:
        runner: The runner.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._digest: str | None = None

    def state_dict(self, teacher: nn.Module | None) -> dict[str, str] | None:
        """Return the teacher's file and a digest of its weights; None if it was not loaded from a file."""
        file = getattr(teacher, 'checkpoint_file', None)
        if teacher is None or file is None:
            return None
        if self._digest is None:
            self._digest = weights_digest(teacher)
        return dict(config=self._configured(), file=os.path.abspath(file) if '://' not in file else file,
                    digest=self._digest)

    def restore(self, teacher: nn.Module | None, record: Mapping[str, str] | None) -> None:
        """Restore the teacher of a resumed run.

        Args:
            teacher: The teacher.
            record: The result of :meth:`state_dict` when the checkpoint was written.

        Raises:
            ValueError: It was another teacher, and its file does not exist any more or has other weights.
        """
        now = self.state_dict(teacher)
        if teacher is None or record is None or now is None or now['digest'] == record['digest']:
            return
        logger = self._runner.logger
        if now['config'] != record['config']:
            logger.warning(f'model.teacher.checkpoint is {now["config"]!r}; the run was started with the teacher '
                           f'{record["config"]!r}, and continues with another one')
            return
        if record['file'] != now['file'] and ('://' in record['file'] or os.path.isfile(record['file'])):
            load_weights(teacher, record['file'], 'teacher')
            self._digest = weights_digest(teacher)
        if self._digest != record['digest']:
            raise ValueError(f'model.teacher.checkpoint: {now["file"]} is not the teacher that the run to resume was '
                             f'started with; that was {record["file"]}, which has other weights or does not exist any '
                             'more')
        logger.warning(f'model.teacher.checkpoint: {now["config"]!r} stands for {now["file"]} now; the run continues '
                       f'with {record["file"]}')

    def _configured(self) -> str:
        return str(self._runner.cfg.model.teacher.get('checkpoint'))


def weights_digest(model: nn.Module) -> str:
    """Return a digest of a model's weights and buffers, as hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        data = value.detach().cpu().contiguous()
        digest.update(f'{name} {data.dtype} {tuple(data.shape)}'.encode())
        digest.update(data.view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
