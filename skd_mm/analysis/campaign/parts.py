"""The parts of the campaign, the most valuable first."""

from dataclasses import dataclass
from pathlib import Path

SKD = 'configs/skd/camvid/skd_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py'
SKD_SMALL = 'configs/skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
PSPNET = 'configs/examples/pspnet-r101_pspnet-r18_camvid-512x1024.py'
VARIANTS = {
    'fp32': [],
    'amp': ['optim_wrapper.type=skd_mm.AmpOptimWrapper'],
    'channels_last': ['model.channels_last=True'],
    'compile': ['model.compile=True'],
}


@dataclass(frozen=True)
class Part:
    """A command of the campaign.

    Attributes:
        name: Its name in the record.
        title: What it measures.
        command: Arguments of Python.
        output: The JSON file that it writes, or None.
        resumable: Whether it continues where it was stopped if it is run again.
    """

    name: str
    title: str
    command: tuple[str, ...]
    output: Path | None = None
    resumable: bool = False


def campaign_parts(out: Path, toy: bool = False) -> list[Part]:
    """Return the parts of the campaign.

    Args:
        out: The folder that everything is written to.
        toy: Small versions of all parts, which end within minutes on a CPU: they show that the campaign works.

    Returns:
        The parts in their order.
    """
    parts = [Part('tests', 'The tests that need a GPU', (
        '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-m', 'gpu', f'--junitxml={out / "tests.xml"}', 'tests'))]
    for name, options in VARIANTS.items():
        if name == 'fp32' or not toy:
            parts.append(_benchmark(f'skd-{name}', f'Phases of SKD at 480×640, {name}', SKD_SMALL if toy else SKD,
                                    options, out, toy, ['backbone.layer1'] if toy else []))
    if not toy:
        parts.append(_benchmark('pspnet', 'PSPNet R101 → R18 at 512×1024, from stem to layer2', PSPNET, [], out, toy,
                                ['backbone.stem', 'backbone.layer1', 'backbone.layer2']))
    studies = dict(camvid='gpu_camvid_480x640', sakd='gpu_cifar100_sakd')
    if toy:
        studies = dict(camvid='camvid_skd')
    for name, study in studies.items():
        folder = out / 'studies' / name
        extra = ('--dry-run', ) if toy else ()
        parts.append(Part(f'study-{name}', f'Study {study}', (
            'tools/study.py', f'configs/studies/{study}.py', '--work-dir', str(folder), *extra),
            None if toy else folder / 'study.json', resumable=True))
    return parts


def _benchmark(name: str, title: str, config: str, options: list[str], out: Path, toy: bool,
               phases: list[str]) -> Part:
    output = out / f'{name}.json'
    command = ['tools/benchmark.py', config, '--compare', '--json', str(output), '--no-validation']
    if toy:
        command += ['--iters', '1', '--warmup', '1']
        options = [*options, 'train_dataloader.batch_size=2']
        for loader in ('train_dataloader', 'val_dataloader'):
            options += [f'{loader}.num_workers=0', f'{loader}.persistent_workers=False']
    if phases:
        command += ['--phases', *phases]
    if options:
        command += ['--cfg-options', *options]
    return Part(name, title, tuple(command), output)
