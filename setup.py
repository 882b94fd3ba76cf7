import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM = ('configs', 'tools', 'model-index.yml')


def version() -> str:
    scope: dict = {}
    exec((ROOT / 'skd_mm' / 'version.py').read_text(), scope)
    return scope['__version__']


def parse_requirements(name: str) -> list[str]:
    """The requirements in a file, those of the files that it names with ``-r`` among them."""
    requirements = []
    for line in (ROOT / name).read_text().splitlines():
        line = line.partition('#')[0].strip()
        if line.startswith('-r '):
            requirements += parse_requirements(os.path.join(os.path.dirname(name), line[3:].strip()))
        elif line:
            requirements.append(line)
    return requirements


class BuildWithMim(build_py):
    """Puts what mim looks for under ``skd_mm/.mim``: links in an editable installation, copies in a wheel."""

    def run(self) -> None:
        super().run()
        mim = (ROOT if self.editable_mode else Path(self.build_lib).resolve()) / 'skd_mm' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for source in (ROOT / name for name in MIM):
            if not source.exists():
                continue
            if self.editable_mode:
                (mim / source.name).symlink_to(os.path.relpath(source, mim))
            elif source.is_dir():
                shutil.copytree(source, mim / source.name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy2(source, mim)


readme = ROOT / 'README.md'

setup(
    name='skd_mm',
    version=version(),
    description='Stagewise and other knowledge distillation for mmsegmentation, mmpretrain and mmdetection',
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='computer vision, semantic segmentation, image classification, object detection, knowledge distillation, '
             'OpenMMLab',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['skd_mm', 'skd_mm.*']),
    package_data={'skd_mm.analysis.report': ['templates/*']},
    python_requires='>=3.10',
    # Neither OpenMMLab's packages nor torch: see requirements/mminstall.txt, mminstall_original.txt and cpu.txt.
    install_requires=parse_requirements('requirements/runtime.txt'),
    extras_require={
        'all': parse_requirements('requirements.txt'),
        'deploy': parse_requirements('requirements/deploy.txt'),
        'detection': parse_requirements('requirements/detection.txt'),
        'docs': parse_requirements('requirements/docs.txt'),
        'mim': parse_requirements('requirements/mminstall.txt'),
        'optional': parse_requirements('requirements/optional.txt'),
        'tests': parse_requirements('requirements/tests.txt'),
    },
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False)
