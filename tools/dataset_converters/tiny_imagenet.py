"""Write the list of Tiny-ImageNet's validation images and classes that mmpretrain's ``CustomDataset`` reads.

The training images are in one folder per class already; those of the validation split are not.
"""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', type=Path, help='tiny-imagenet-200, which contains train/ and val/val_annotations.txt')
    return parser.parse_args()


def main() -> None:
    """Write ``val.txt``."""
    root = parse_args().root
    annotations = root / 'val' / 'val_annotations.txt'
    if not annotations.is_file():
        raise SystemExit(f'there is no file {str(annotations)!r}: is {str(root)!r} the folder of Tiny-ImageNet?')
    names = sorted(folder.name for folder in (root / 'train').iterdir() if folder.is_dir())
    classes = {name: number for number, name in enumerate(names)}
    lines = []
    for number, line in enumerate(annotations.read_text().splitlines(), 1):
        where = f'{annotations}, line {number}'
        name, *labels = line.split('\t')
        if not labels or labels[0] not in classes:
            raise SystemExit(f'{where}: the class {"".join(labels[:1])!r} has no folder in {root / "train"}')
        if not (root / 'val' / 'images' / name).is_file():
            raise SystemExit(f'{where}: there is no file {root / "val" / "images" / name}')
        lines.append(f'{name} {classes[labels[0]]}\n')
    (root / 'val.txt').write_text(''.join(lines))
    print(f'{root / "val.txt"}: {len(lines)} images of {len(classes)} classes')


if __name__ == '__main__':
    main()
