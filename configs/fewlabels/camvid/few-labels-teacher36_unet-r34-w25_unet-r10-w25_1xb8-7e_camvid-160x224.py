# The harder setting: the teacher, too, has seen 36 labels only.
_base_ = './few-labels_unet-r34-w25_unet-r10-w25_1xb8-7e_camvid-160x224.py'
model = dict(
    teacher=dict(
        cfg='configs/fewlabels/camvid/no-teacher_unet-r34-w25_1xb8-600e_camvid-160x224.py',
        checkpoint='work_dirs/no-teacher_unet-r34-w25_1xb8-600e_camvid-160x224/best_mIoU_*.pth'))
