import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

# What a user of plain mmsegmentation writes; the exit status 77 says that plain mmsegmentation does not work here.
INFERENCE = """
import sys
try:
    from mmseg.apis import MMSegInferencer, inference_model, init_model
except Exception as error:
    print(error)
    sys.exit(77)
assert 'skd_mm' not in sys.modules
config, checkpoint, image, out = sys.argv[1:]
import numpy as np
found = MMSegInferencer(config, checkpoint, device='cpu', show_progress=False)(image)['predictions']
model = init_model(config, checkpoint, device='cpu')
logits = inference_model(model, image).seg_logits.data
assert (logits.argmax(0).numpy() == found).all()
print(*model.dataset_meta['classes'])
np.save(out, logits.numpy())
"""


@pytest.mark.slow
def test_plain_mmsegmentation_infers_with_it(run_tool, distillation, repo, capsys):
    out = distillation.folder / 'out'
    run_tool('export_student.py', distillation.config, distillation.checkpoint, out)
    files = [str(out / 'skd_tiny.py'), str(out / 'skd_tiny.pth')]
    assert capsys.readouterr().out.split()[-2:] == files

    image = distillation.folder / 'test' / 'a.png'
    result = subprocess.run([sys.executable, '-c', INFERENCE, *files, str(image), str(out / 'logits.npy')],
                            capture_output=True, text=True, cwd=distillation.folder, check=False,
                            env=dict(os.environ, PYTHONPATH=str(repo), OMP_NUM_THREADS='1'))
    if result.returncode == 77:
        pytest.skip(f'mmsegmentation does not work here by itself: {result.stdout}')
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-11:] == list('abcdefghijk')
    pixels = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
    inputs = ((torch.from_numpy(pixels).float() - 100) / 50).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = distillation.student.encode_decode(inputs, [dict(img_shape=(32, 64))])[0]
    np.testing.assert_array_equal(np.load(out / 'logits.npy'), logits.numpy())


def test_name_and_options(run_tool, distillation):
    out = distillation.folder / 'out'
    run_tool('export_student.py', distillation.config, distillation.checkpoint, out, '--name', 'r10',
             '--cfg-options', 'test_dataloader.batch_size=5')
    assert sorted(file.name for file in out.iterdir()) == ['r10.pth', 'r10.py']
    assert 'batch_size=5' in (out / 'r10.py').read_text()
