"""Writes the list of Tiny-ImageNet's validation images and their classes, which mmpretrain's ``CustomDataset`` reads.

The training images lie in a folder a class already; those of the validation split do not.
"""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """The folder is all there is to say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=Path, help='tiny-imagenet-200, with train/ and val/val_annotations.txt in it')
    return parser.parse_args()


def main() -> None:
    """Writes ``val.txt``."""
    root = parse_args().root
    annotations = root / 'val' / 'val_annotations.txt'
    if not annotations.is_file():
        raise SystemExit(f'there is no file {str(annotations)!r}: is {str(root)!r} the folder of Tiny-ImageNet?')
    classes = {folder.name: number for number, folder in enumerate(sorted((root / 'train').iterdir()))
               if folder.is_dir()}
    lines = []
    for number, line in enumerate(annotations.read_text().splitlines(), 1):
        name, label = line.split('\t')[:2]
        if label not in classes:
            raise SystemExit(f'{annotations}, line {number}: the class {label!r} has no folder in {root / "train"}')
        if not (root / 'val' / 'images' / name).is_file():
            raise SystemExit(f'{annotations}, line {number}: there is no file {root / "val" / "images" / name}')
        lines.append(f'{name} {classes[label]}\n')
    (root / 'val.txt').write_text(''.join(lines))
    print(f'{len(lines)} images of {len(classes)} classes: {root / "val.txt"}')


if __name__ == '__main__':
    main()
