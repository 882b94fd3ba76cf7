# What studies with few labels of CamVid share: U-Nets on ResNet-34 and ResNet-10 of a quarter of the width.
_base_ = './camvid.py'
networks = 'unet-r34-w25_unet-r10-w25_1xb8-{}e_camvid-160x224.py'
no_teacher = 'configs/baselines/camvid/no-teacher_unet-r10-w25_1xb8-150e_camvid-160x224.py'
simultaneous = 'configs/baselines/camvid/simultaneous_' + networks.format(150)
simultaneous_unlabelled = 'configs/fewlabels/camvid/simultaneous-unlabelled_' + networks.format(39)
few_labels = 'configs/fewlabels/camvid/few-labels_' + networks.format(7)
