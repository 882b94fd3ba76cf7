# Distilled, pruned to half of the MACs, recovered, and then quantised.
_base_ = './int8_unet-r10-w25_1xb8-20e_camvid-160x224.py'
pruned_network = dict(
    cfg='configs/pruning/camvid/skd-polish-half_unet-r10-w25_1xb8-30e_camvid-160x224.py',
    checkpoint='work_dirs/skd-polish-half_unet-r10-w25_1xb8-30e_camvid-160x224/best_mIoU_*.pth')
model = dict(teacher=pruned_network, student=pruned_network)
