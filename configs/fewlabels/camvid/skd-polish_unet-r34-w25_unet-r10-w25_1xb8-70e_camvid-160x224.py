# SKD on 36 labelled images, then the whole student on the task and all spots with 1/11 each. No unlabelled images.
_base_ = '../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
schedule = dict(phase_epochs=70, head=dict(epochs=30), polish=dict(epochs=110))
