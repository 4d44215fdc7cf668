"""What every network of the registry costs at 224 × 224, with its classifier of 1000 classes.

Numbers of `count_cost`, which the tests compare with the built networks: they are needed for lists
of networks, and building the largest takes seconds.
"""

from collections.abc import Mapping

from keras_shufflenet.models.cost import Cost

COSTS: Mapping[str, Cost] = {
    "detnas_coco_fpn_1_3g": Cost(10_426_328, 1_318_374_496),
    "detnas_coco_fpn_300m": Cost(3_533_112, 321_219_008),
    "detnas_coco_fpn_3_8g": Cost(31_444_596, 4_085_874_080),
    "detnas_coco_retinanet_300m": Cost(3_725_320, 324_342_464),
    "detnas_voc_fpn_300m": Cost(3_651_128, 349_524_544),
    "detnas_voc_retinanet_300m": Cost(3_479_480, 360_625_984),
    "mobilenet_v2_x0_35": Cost(1_677_128, 59_285_808),
    "mobilenet_v2_x0_5": Cost(1_968_680, 97_131_840),
    "mobilenet_v2_x0_75": Cost(2_636_424, 209_069_792),
    "mobilenet_v2_x1_0": Cost(3_504_872, 300_774_272),
    "mobilenet_v2_x1_4": Cost(6_108_776, 582_195_824),
    "one_shot": Cost(3_432_579, 327_857_920),
    "one_shot_spos": Cost(3_558_464, 322_918_720),
    "shufflenet_v1_x0_5_g3": Cost(717_324, 37_589_856),
    "shufflenet_v1_x0_5_g8": Cost(1_010_448, 40_469_760),
    "shufflenet_v1_x1_0_g1_mmcls": Cost(1_531_936, 143_078_976),
    "shufflenet_v1_x1_0_g2_mmcls": Cost(1_733_848, 140_836_512),
    "shufflenet_v1_x1_0_g3": Cost(1_864_728, 137_460_672),
    "shufflenet_v1_x1_0_g3_mmcls": Cost(1_865_728, 137_460_672),
    "shufflenet_v1_x1_0_g4_mmcls": Cost(1_968_344, 134_339_776),
    "shufflenet_v1_x1_0_g8": Cost(2_433_768, 138_365_952),
    "shufflenet_v1_x1_0_g8_mmcls": Cost(2_434_768, 138_365_952),
    "shufflenet_v1_x1_5_g3": Cost(3_441_168, 292_443_552),
    "shufflenet_v1_x1_5_g8": Cost(4_268_952, 290_188_800),
    "shufflenet_v1_x2_0_g3": Cost(5_449_776, 524_045_184),
    "shufflenet_v1_x2_0_g8": Cost(6_521_232, 521_942_016),
    "shufflenet_v2_exlarge": Cost(255_374_504, 46_174_794_752),
    "shufflenet_v2_large": Cost(125_120_936, 12_780_652_544),
    "shufflenet_v2_plus_large": Cost(6_768_220, 360_050_704),
    "shufflenet_v2_plus_medium": Cost(5_679_840, 222_249_984),
    "shufflenet_v2_plus_small": Cost(5_137_116, 155_845_008),
    "shufflenet_v2_x0_25": Cost(603_688, 17_575_760),
    "shufflenet_v2_x0_33": Cost(647_272, 22_454_592),
    "shufflenet_v2_x0_5": Cost(1_366_792, 40_476_448),
    "shufflenet_v2_x0_5_megvii": Cost(1_365_792, 40_476_448),
    "shufflenet_v2_x1_0": Cost(2_278_604, 144_907_992),
    "shufflenet_v2_x1_0_megvii": Cost(2_278_760, 145_814_296),
    "shufflenet_v2_x1_5": Cost(3_503_624, 295_759_392),
    "shufflenet_v2_x1_5_megvii": Cost(3_506_720, 298_970_656),
    "shufflenet_v2_x2_0": Cost(7_393_996, 583_253_464),
    "shufflenet_v2_x2_0_megvii": Cost(7_402_600, 590_783_000),
}
