"""Exports the students of the shipped pairs and of other families to ONNX, with random weights and small images.

    python tests/zoo/export_sweep.py [NAME …] [--dynamic size|batch|fixed] [--json FILE]

Prints a row for each student: what may vary in the file, and the largest relative difference from PyTorch, on batches
of two sizes if the size may vary. The exit status is 1 if an export fails.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from torch import nn

from skd_mm.deploy import export_onnx
from skd_mm.deploy.network import ExportedNetwork
from skd_mm.distillers import build_network
from skd_mm.utils import text_table, write_json

SEGMENTATION = (64, 128)
# Name: config, (height, width), changes of the config.
STUDENTS = {
    'U-Net R10': ('configs/students/unet-r10_camvid-480x640.py', SEGMENTATION, {}),
    'SegFormer B0': ('mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py', SEGMENTATION, {}),
    'PSPNet R18': ('mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py', SEGMENTATION, {}),
    'HRNet W18s': ('mmseg::hrnet/fcn_hr18s_4xb2-40k_cityscapes-512x1024.py', SEGMENTATION, {}),
    'DeepLabV3+ MobileNetV2': (
        'mmseg::mobilenet_v2/mobilenet-v2-d8_deeplabv3plus_4xb2-80k_cityscapes-512x1024.py', SEGMENTATION, {}),
    'DeepLabV3 R18': ('mmseg::deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py', SEGMENTATION, {}),
    'STDC1': ('mmseg::stdc/stdc1_4xb12-80k_cityscapes-512x1024.py', SEGMENTATION, {}),
    'PIDNet-S': ('mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py', SEGMENTATION, {}),
    'DDRNet23-slim': (
        'mmseg::ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py', SEGMENTATION, {}),
    # Its decomposition starts from random bases in each forward pass by default.
    'SegNeXt-T': ('mmseg::segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py', SEGMENTATION,
                  {'model.decode_head.ham_kwargs.rand_init': False}),
    'UPerNet R18': ('mmseg::upernet/upernet_r18_4xb2-40k_cityscapes-512x1024.py', SEGMENTATION, {}),
    'ResNet-18': ('mmpretrain::resnet/resnet18_8xb32_in1k.py', (64, 64), {}),
    'MobileNetV3-S': ('mmpretrain::mobilenet_v3/mobilenet-v3-small_8xb128_in1k.py', (64, 64), {}),
    'EfficientNet-B0': ('mmpretrain::efficientnet/efficientnet-b0_8xb32_in1k.py', (64, 64), {}),
    'RetinaNet R18': ('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', (64, 64), {}),
}


def build(name: str) -> tuple[ExportedNetwork, torch.Tensor]:
    """The network of a student with random weights and BN statistics, and an image for it."""
    config, size, changes = STUDENTS[name]
    package, zoo, _ = config.partition('::')
    init_default_scope(package if zoo else 'mmseg')
    torch.manual_seed(0)
    model = build_network(dict(cfg=config, options=changes), 'student').eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return ExportedNetwork(model), torch.randn(1, 3, *size)


def sweep(names: list[str], dynamic: str) -> list[dict]:
    """Export students, and print a line for each."""
    rows = []
    for name in names:
        network, images = build(name)
        row = dict(name=name, config=STUDENTS[name][0], input=list(images.shape))
        start = time.process_time()
        try:
            with tempfile.TemporaryDirectory() as folder:
                result = export_onnx(network, images, Path(folder, 'student.onnx'), dynamic=dynamic)
                row.update(dynamic=result.dynamic, difference=result.difference, notes=list(result.notes),
                           bytes=result.file.stat().st_size)
        except ValueError as error:
            row.update(error=str(error))
        row['seconds'] = round(time.process_time() - start, 1)
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def main() -> int:
    """Sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'students: {", ".join(STUDENTS)}')
    parser.add_argument('--dynamic', choices=['size', 'batch', 'fixed'], default='size', help='what may vary at most')
    parser.add_argument('--json', help='file for the results')
    args = parser.parse_args()
    unknown = set(args.names) - STUDENTS.keys()
    if unknown:
        parser.error(f'there is no student {sorted(unknown)}; there are {list(STUDENTS)}')
    torch.set_num_threads(1)
    rows = sweep(args.names or list(STUDENTS), args.dynamic)
    cells = [[row['name'], row.get('dynamic', 'fails'), f'{row["difference"]:.1e}' if 'difference' in row else '',
              row.get('error') or '; '.join(row['notes'])] for row in rows]
    print('\n' + text_table(['student', 'varies', 'difference', 'notes'], cells))
    if args.json:
        write_json(args.json, rows)
    return int(any('error' in row for row in rows))


if __name__ == '__main__':
    sys.exit(main())
