"""The families of the model zoos, and the smallest config of each."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import yaml

SKIPPED: dict[str, dict[str, str]] = {
    'mmseg': {
        'ccnet': 'CrissCrossAttention is a compiled op of mmcv',
        'psanet': 'PSAMask is a compiled op of mmcv',
        'point_rend': 'needs point_sample, a compiled op of mmcv',
        'san': 'builds CLIP from a checkpoint that it downloads',
        'vpd': 'needs Stable Diffusion, a download',
        'dsdl': 'no network of its own: data sets for others',
    },
    'mmpretrain': {
        'glip': 'a backbone for detection, without a head',
        'sam': 'a backbone for segmentation, without a head',
        'dinov2': 'a backbone without a head',
    },
    'mmdet': {
        'ddod': 'needs deform_conv, a compiled op of mmcv',
    },
}
"""By library the families that are not run, and why. A family without a config of a :data:`TASKS` model is no entry."""

TASKS = {'mmseg': ('EncoderDecoder', 'CascadeEncoderDecoder'), 'mmpretrain': ('ImageClassifier', ), 'mmdet': ()}
"""By library the types of the models that are trained for a task; empty for all."""


CHOSEN: dict[str, tuple[str, ...]] = {
    'mmdet': ('atss', 'ddod', 'deformable_detr', 'detr', 'faster_rcnn', 'fcos', 'foveabox', 'fsaf', 'gfl', 'paa',
              'retinanet', 'rtmdet', 'yolof', 'yolox'),
}
"""By library the only families that are run. mmdetection's others need compiled operators, masks, text or video, or
have not been tried."""

_SMALLER_VIT: tuple[str, dict[str, Any]] = ('a smaller ViT', {
    'model.backbone.arch': 'deit-tiny', 'model.head.in_channels': 192})
_SMALLER_BEIT: tuple[str, dict[str, Any]] = ('a smaller ViT, smaller images', {
    **_SMALLER_VIT[1], 'model.backbone.img_size': 64})
_SMALLER_UPERNET: tuple[str, dict[str, Any]] = ('a smaller ViT, smaller images', {
    'model.backbone.img_size': (128, 128), 'model.backbone.embed_dims': 192, 'model.backbone.num_heads': 3,
    'model.neck.embed_dim': 192, 'model.decode_head.in_channels': [192] * 4, 'model.decode_head.channels': 192,
    'model.auxiliary_head.in_channels': 192})

CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    'mmpretrain/efficientformer': ('mmpretrain does not train a distillation head', {'model.head.distillation': False}),
    'mmpretrain/levit': ('mmpretrain does not train a distillation head', {'model.head.distillation': False}),
    **{f'mmpretrain/{name}': _SMALLER_BEIT for name in ('beit', 'beitv2', 'cae')},
    **{f'mmpretrain/{name}': _SMALLER_VIT for name in (
        'clip', 'eva', 'mae', 'maskfeat', 'mff', 'milan', 'vision_transformer')},
    'mmpretrain/mixmim': ('fewer and narrower layers', {
        'model.backbone.arch': dict(_delete_=True, embed_dims=64, depths=[2, 2, 4, 2], num_heads=[2, 4, 8, 16]),
        'model.head.in_channels': 512}),
    'mmpretrain/mlp_mixer': ('a smaller model', {'model.backbone.arch': 'small', 'model.head.in_channels': 512}),
    'mmpretrain/replknet': ('fewer and narrower layers', {
        'model.backbone.arch': dict(_delete_=True, large_kernel_sizes=[31, 29, 27, 13], layers=[2, 2, 2, 2],
                                    channels=[32, 64, 128, 256], small_kernel=5, dw_ratio=1),
        'model.head.in_channels': 256}),
    'mmpretrain/simmim': ('a smaller Swin', {'model.backbone.arch': 'tiny', 'model.head.in_channels': 768}),
    'mmseg/beit': _SMALLER_UPERNET,
    'mmseg/mae': _SMALLER_UPERNET,
    'mmseg/dpt': ('a smaller ViT', {
        'model.backbone.embed_dims': 192, 'model.backbone.num_heads': 3, 'model.decode_head.in_channels': [192] * 4,
        'model.decode_head.embed_dims': 192}),
    'mmseg/setr': ('a smaller ViT', {
        'model.backbone.embed_dims': 192, 'model.backbone.num_heads': 3, 'model.neck.in_channels': [192] * 4}),
}
"""By family what is changed in its config, and why."""


INPUT_SHAPES: dict[str, tuple[str, tuple[int, int, int]]] = {
    'mmpretrain/eva02': ('images of another size change its buffers', (3, 336, 336)),
    'mmpretrain/lenet': ('it is built for digits', (1, 32, 32)),
    'mmdet/yolox': ('its first layer turns pixels into channels', (3, 64, 64)),
}
"""By family why the distiller's ``input_shape`` is set, and its value."""


def config_folder(library: str) -> Path:
    """Return the folder of the configs that a library was installed with."""
    spec = importlib.util.find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f'{library} is not installed')
    return Path(spec.submodule_search_locations[0]) / '.mim' / 'configs'


def families(library: str) -> dict[str, str | None]:
    """Return the smallest config of each family of a library, by the name of its folder; None for those skipped."""
    root = config_folder(library)
    found: dict[str, str | None] = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name != '_base_'):
        if folder.name not in CHOSEN.get(library, (folder.name, )):
            continue
        if folder.name in SKIPPED[library]:
            found[folder.name] = None
            continue
        smallest = next((file for file in _by_size(folder) if _has_task(file, library)), None)
        if smallest is not None:
            found[folder.name] = str(smallest.relative_to(root))
    return found


def _by_size(folder: Path) -> list[Path]:
    """Return the configs in a folder and its folders, the smallest first; those without a listed size last, by name."""
    sizes = _sizes(folder)
    return sorted(folder.rglob('*.py'),
                  key=lambda file: (sizes.get(file.name, float('inf')), len(file.name), file.name))


def _sizes(folder: Path) -> dict[str, float]:
    """Return parameters (or GiB of memory in training, for lack of them) of the configs that the zoo lists."""
    sizes: dict[str, float] = {}
    for file in folder.glob('metafile.y*ml'):
        listed: Any = yaml.safe_load(file.read_text()) or {}
        for model in listed.get('Models') or []:
            about = model.get('Metadata') or {}
            size = about.get('Parameters', about.get('Memory (GB)', about.get('Training Memory (GB)')))
            match = re.match(r'[\d.]+', str(size))
            if match and model.get('Config'):
                name = Path(model['Config']).name
                sizes[name] = min(float(match[0]), sizes.get(name, float('inf')))
    return sizes


def _has_task(file: Path, library: str) -> bool:
    from mmengine.config import Config
    try:
        model = Config.fromfile(str(file)).get('model') or {}
    except Exception:
        return False
    if not model or model.get('head', True) is None:
        return False
    return not TASKS[library] or str(model.get('type')).rpartition('.')[2] in TASKS[library]
