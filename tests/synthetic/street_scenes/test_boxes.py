import numpy as np

from skd_mm.synthetic import street_scene
from skd_mm.synthetic.street_scenes.boxes import CATEGORIES, Box, coco_annotations, object_boxes
from skd_mm.synthetic.street_scenes.labels import Label
from skd_mm.synthetic.street_scenes.scene import street_scene_with_objects


def test_boxes_surround_the_visible_part_of_the_class_of_an_object():
    label = np.full((20, 30), Label.ROAD, np.uint8)
    instances = np.zeros((20, 30), np.uint16)
    label[2:12, 5:15], instances[2:12, 5:15] = Label.CAR, 1
    label[0:20, 12:18], instances[0:20, 12:18] = Label.POLE, 2  # in front of the car
    label[0:5, 11:19], instances[0:5, 11:19] = Label.SIGNSYMBOL, 2
    label[15:18, 0:10], instances[15:18, 0:10] = Label.PEDESTRIAN, 3  # too flat
    assert object_boxes(label, instances) == [Box(1, 5, 2, 7, 10, 67), Box(4, 11, 0, 8, 5, 40)]


def test_cocos_file():
    found = coco_annotations([('a.png', []), ('b.png', [Box(2, 1, 2, 5, 6, 21), Box(1, 0, 0, 4, 4, 16)])], (32, 48))
    assert [category['name'] for category in found['categories']] == list(CATEGORIES)
    assert found['images'] == [dict(id=0, file_name='a.png', height=32, width=48),
                               dict(id=1, file_name='b.png', height=32, width=48)]
    assert found['annotations'] == [
        dict(id=1, image_id=1, category_id=2, area=21, bbox=[1, 2, 5, 6], iscrowd=0),
        dict(id=2, image_id=1, category_id=1, area=16, bbox=[0, 0, 4, 4], iscrowd=0)]


def test_objects_of_a_scene():
    kinds = set()
    for seed in range(6):
        image, label, instances = street_scene_with_objects((96, 128), seed)
        np.testing.assert_array_equal(image, street_scene((96, 128), seed)[0])
        # Cars, people and signs are objects; roads, houses and the sky are not.
        assert (instances[np.isin(label, list(CATEGORIES.values()))] > 0).all()
        assert (instances[np.isin(label, [Label.ROAD, Label.SKY, Label.BUILDING])] == 0).all()
        boxes = object_boxes(label, instances)
        kinds |= {box.category for box in boxes}
        for box in boxes:
            inside = label[box.top:box.top + box.height, box.left:box.left + box.width]
            assert (inside == list(CATEGORIES.values())[box.category - 1]).sum() >= box.area > 0
    assert kinds == {1, 2, 3, 4}
