"""The refusal of training loops that would ignore a config's ``schedule``."""

import re

from mmengine.logging import MessageHub

FOLLOWS_SCHEDULE = 'follows_schedule'
"""Key of the current ``MessageHub`` that a loop sets if it walks the phases of the ``schedule``."""


def check_training_loop() -> None:
    """Check that the loop of the current Runner follows the ``schedule`` of its config, if there is one.

    A config that inherits ``train_cfg`` from a model zoo and is started by mmsegmentation's or mmpretrain's own
    ``tools/train.py`` would train everything at once. A model knows no Runner; the Runner's config is in MMEngine's
    ``MessageHub`` when the model's weights are initialized.

    Raises:
        RuntimeError: The config has a ``schedule``, and the loop ignores it.
    """
    info = MessageHub.get_current_instance().runtime_info
    config = str(info.get('cfg', ''))
    if FOLLOWS_SCHEDULE not in info and re.search(r'^schedule *=', config, re.MULTILINE):
        raise RuntimeError('train_cfg: this training loop ignores the `schedule` of the config and would train all '
                           "phases at once; set `train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')`, or start "
                           "the run with skd_mm's tools/train.py")
