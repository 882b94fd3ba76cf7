"""The feature cache of a phase."""

from pathlib import Path
from typing import Any

from mmengine.dist import get_rank, get_world_size

from skd_mm.engine.resume import LOCATIONS
from skd_mm.features import FeatureCache, FeatureFiles, fingerprint, samples_of
from skd_mm.schedules import CacheSettings, Phase
from skd_mm.utils import derive_seed, from_main_process


def build_feature_cache(loop: Any, phase: Phase) -> FeatureCache | None:
    """Builds an empty feature cache.

    Args:
        loop: The training loop.
        phase: The phase whose features it will hold.

    Returns:
        The cache; None if ``schedule.cache`` is off.
    """
    settings: CacheSettings = loop.recipe.cache
    if not settings:
        return None
    files = None
    if settings.disk:
        folder = _folder(settings, loop.runner.work_dir) / f'rank{get_rank()}'
        files = FeatureFiles(folder, lambda: _fingerprint(loop, phase), int(settings.disk * 2**30))
    return FeatureCache(int(settings.memory * 2**30), files, settings.dtype, int(settings.host * 2**30))


def hash_samples(loop: Any) -> str:
    """Hash the samples of training and validation, on rank 0 for all processes.

    Args:
        loop: The training loop.

    Returns:
        The hash. It covers the samples of all phases.
    """

    def compute() -> str:
        facts = [samples_of(loop.data.dataset, loop.data.all_indices(loop.phases))]
        if loop.runner.val_loop is not None:
            facts.append(samples_of(loop.validation.dataset))
        return fingerprint(facts)

    return from_main_process(compute)


def _folder(settings: CacheSettings, work_dir: str) -> Path:
    run = Path(work_dir).resolve()
    if settings.dir is None:
        return run / 'feature_cache'
    # Two runs never share a folder, even if both use the same disk.
    return Path(settings.dir) / f'{run.name}-{derive_seed(str(run)):08x}'


def _fingerprint(loop: Any, phase: Phase) -> str:
    """Return a hash of everything that a phase's features depend on."""
    cfg = {key: value for key, value in loop.runner.cfg.to_dict().items() if key not in LOCATIONS}
    return fingerprint(cfg, phase.name, loop.seed, get_world_size(), loop.samples_hash, loop.distiller.frozen())
