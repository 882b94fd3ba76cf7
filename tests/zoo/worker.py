"""Distils a model of a zoo from itself, exports the student and runs it in the zoo's own code."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope

from skd_mm.deploy.export import export_student, student_config
from tests.helpers import ToyClsDataset, ToySegDataset, train
from tests.zoo.families import CHANGES, INPUT_SHAPES, config_folder

# Transforms that make labels which a head needs.
LABELS = ('GenerateEdge', )


@DATASETS.register_module(force=True)
class ZooSegDataset(ToySegDataset):
    """Toy images for any number of classes."""

    def __init__(self, classes=2, **kwargs):
        self.classes = classes
        super().__init__(**kwargs)

    def load_data_list(self):
        infos = super().load_data_list()
        for info in infos:
            info['gt_seg_map'] %= self.classes
        return infos


@DATASETS.register_module(force=True)
class ZooClsDataset(ToyClsDataset):
    """Toy images with any number of channels."""

    def __init__(self, channels=3, **kwargs):
        self.channels = channels
        super().__init__(**kwargs)

    def load_data_list(self):
        infos = super().load_data_list()
        for info in infos:
            info['img'] = info['img'][..., :self.channels]
        return infos


@DATASETS.register_module(force=True)
class ZooDetDataset(ToyClsDataset):
    """Toy images, each with a box around its middle."""

    def load_data_list(self):
        infos = super().load_data_list()
        for info in infos:
            box = np.array([[8, 8, self.side - 8, self.side - 12]], np.float32)
            info.update(img_id=info['sample_idx'], gt_bboxes=box, gt_bboxes_labels=np.zeros(1, np.int64),
                        gt_ignore_flags=np.zeros(1, bool), scale_factor=(1., 1.))
        return infos


def build(zoo: Config) -> tuple[Any, float]:
    """Build the distiller as a run does; return it and the seconds of CPU time that it took."""
    init_default_scope(zoo.get('default_scope', 'mmengine'))
    torch.manual_seed(0)
    cfg = model_config(zoo)
    start = time.process_time()
    distiller = MODELS.build(cfg)
    return distiller, time.process_time() - start


def model_config(zoo: Config) -> dict[str, Any]:
    """Return the config of the distiller: the network is its own teacher."""
    shape = dict(input_shape=zoo.input_shape) if 'input_shape' in zoo else {}
    return dict(type='skd_mm.Distiller', student=student_config(zoo).model, teacher=student_config(zoo).model,
                spots='backbone', **shape)


def read_zoo_config(library: str, config: str) -> Config:
    """Read a config of a zoo, with the changes to it in :data:`CHANGES` and :data:`INPUT_SHAPES`."""
    zoo = Config.fromfile(str(config_folder(library) / config))
    family = f'{library}/{config.partition("/")[0]}'
    zoo.merge_from_dict(CHANGES.get(family, (None, {}))[1])
    if family in INPUT_SHAPES:
        zoo.input_shape = INPUT_SHAPES[family][1]
    return zoo


def run_config(zoo: Config, library: str, shape: tuple[int, ...], folder: Path, cache: float) -> Config:
    """Return the config of a run: two iterations per phase on two images."""
    side = min(shape[1:])
    model = model_config(zoo)
    for role in ('student', 'teacher'):
        model[role]['backbone'].pop('frozen_stages', None)
        model[role].pop('train_cfg' if library == 'mmpretrain' else '', None)  # batches are mixed at random
    changes: dict[str, Any] = {}
    if library == 'mmseg':
        loader = zoo.train_dataloader
        classes = min(_values(model['student']['decode_head'], 'num_classes'))
        pipeline = [step for step in loader.dataset.get('pipeline', ()) if step['type'] in LABELS]
        data = dict(type='mmengine.ZooSegDataset', classes=classes, pipeline=[*pipeline, dict(type='PackSegInputs')])
        for role in ('student', 'teacher'):
            model[role]['data_preprocessor']['size'] = (side, side)
    elif library == 'mmdet':
        data = dict(type='mmengine.ZooDetDataset', pipeline=[dict(type='PackDetInputs')])
        for role in ('student', 'teacher'):
            model[role]['data_preprocessor'].pop('batch_augments', None)  # images are resized at random
    else:
        data = dict(type='mmengine.ZooClsDataset', channels=shape[0], pipeline=[dict(type='PackInputs')],
                    classes=[str(i) for i in range(max(_values(model['student'], 'num_classes'), default=1000))])
        changes['collate_fn'] = dict(type='default_collate')
    test = zoo.get('test_dataloader')
    cfg = Config(dict(
        default_scope=zoo.default_scope, work_dir=str(folder), launcher='pytorch', log_level='ERROR',
        env_cfg=dict(dist_cfg=dict(backend='gloo')), randomness=dict(seed=0), model=model,
        schedule=dict(type='Stagewise', phase_epochs=2, cache=cache), train_cfg=dict(type='skd_mm.PhaseLoop'),
        train_dataloader=dict(batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
                              dataset=dict(data, images=2, side=side), **changes),
        # Random weights have large gradients.
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-4), clip_grad=dict(max_norm=1)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1),
                           checkpoint=dict(type='skd_mm.PhaseCheckpointHook', max_keep_ckpts=2))))
    if test is not None:
        cfg.test_dataloader = dict(dataset=dict(type=data['type'], pipeline=_small(test.dataset.pipeline, side)))
        cfg.test_cfg, cfg.test_evaluator = dict(), dict(type='mmengine.ToyMetric')
    return cfg


def _values(cfg: Any, key: str) -> list[Any]:
    """Return all values of a key in a config."""
    if isinstance(cfg, dict):
        own = [cfg[key]] if key in cfg else []
        return own + [found for value in cfg.values() for found in _values(value, key)]
    if isinstance(cfg, list | tuple):
        return [found for value in cfg for found in _values(value, key)]
    return []


def _small(pipeline: Any, side: int) -> list[dict[str, Any]]:
    """Return a test pipeline that makes small images."""
    steps = [dict(step) for step in pipeline if not str(step['type']).startswith('LoadAnnotations')]
    for step in steps:
        if 'scale' in step:
            step['scale'] = (side, side) if isinstance(step['scale'], (tuple, list)) else side
        if 'crop_size' in step:
            step['crop_size'] = side
    return steps


def infer(library: str, files: tuple[Path, Path], shape: tuple[int, ...]) -> None:
    """Predict an image, ``(C, H, W)``, with the exported student in the zoo's own code."""
    side = min(shape[1:])
    image = np.random.RandomState(0).randint(0, 255, (side, side, shape[0])).astype(np.uint8)
    config, checkpoint = map(str, files)
    if library == 'mmseg':
        from mmseg.apis import inference_model, init_model
        output = inference_model(init_model(config, checkpoint, device='cpu'), image).seg_logits.data
    elif library == 'mmdet':
        from mmdet.apis import inference_detector, init_detector
        model = init_detector(config, checkpoint, palette='random', device='cpu')
        output = inference_detector(model, image).pred_instances.bboxes
    else:
        from mmpretrain import ImageClassificationInferencer
        # LeNet squeezes the dimension of a batch of one away.
        found = ImageClassificationInferencer(config, pretrained=checkpoint, device='cpu')([image] * 2, batch_size=2)
        output = torch.as_tensor(found[0]['pred_scores'])
    assert torch.isfinite(output).all(), 'the exported student predicts no finite values'


def one_process_group() -> None:
    """Let this process be a distributed run."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    os.environ.update(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))


def check(library: str, config: str, folder: Path, result: dict[str, Any], startup_only: bool = False) -> None:
    """Run everything that the sweep does with a family.

    Args:
        library: ``'mmseg'``, ``'mmpretrain'`` or ``'mmdet'``.
        config: The path of the config in the library's folder of configs.
        folder: An empty folder.
        result: Filled with what is reported, as far as it comes.
        startup_only: Only build the distiller.

    Raises:
        Exception: Anything that the family fails with.
    """
    zoo = read_zoo_config(library, config)
    distiller, seconds = build(zoo)
    shape = tuple(getattr(distiller, 'input_shape', (3, 64, 64)))
    result.update(startup_s=round(seconds, 3), input=list(shape),
                  stages=[spot.student for spot in distiller.spots.values()])
    del distiller
    if startup_only:
        return
    one_process_group()
    states = []
    for cache in (0., 1.):
        runner = train(run_config(zoo, library, shape, folder / f'cache{cache:.0f}', cache))
        loop = runner.train_loop
        states.append({name: value.clone() for name, value in loop.distiller.student.state_dict().items()})
    result['phases'] = [phase.name for phase in loop.phases]
    loop.distiller.eval()
    samples = [loop.dataloader.dataset[0, index] for index in range(2)]
    with torch.no_grad():
        assert len(loop.distiller.val_step(loop.dataloader.collate_fn(samples))) == 2
    # Kernels round differently if a feature has another memory layout when it is read from the cache.
    different = [name for name, value in states[0].items()
                 if not torch.allclose(value, states[1][name], rtol=1e-4, atol=1e-6)]
    assert not different, f'{len(different)} of {len(states[0])} weights differ with a cache: {different[:3]}'
    result['same_bits'] = all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    checkpoint = (folder / 'cache1' / 'last_checkpoint').read_text()
    files = export_student(runner.cfg, checkpoint, folder / 'exported', 'student')
    infer(library, files, shape)
