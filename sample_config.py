"""Every network, data set and loss by the name the challenge gave it, with its settings.

This file is the reference. What you change goes into ``config.py``, either as single lines on top of this one or as a
whole copy (``cp sample_config.py config.py``). A run merges ``config`` and ``default`` with the chosen loss, network
and data set, in that order, the later winning; flags of ``train.py`` win over all. Any entry may set any key of
``config`` or ``default``. What each key means and may hold is declared where it is read: by ``lwface/settings/run.py``,
by the network's family and by the loss; a key that none of them has is an error: no typing mistake passes unseen.
"""

from easydict import EasyDict as edict

# What the network and the data are made of.
config = edict()

config.bn_mom = 0.9
config.emb_size = 512
config.net_se = 0
config.net_act = "prelu"
config.net_unit = 3
config.net_input = 1
config.net_blocks = [1, 4, 6, 2]
config.net_output = "E"
config.net_multiplier = 1.0
config.val_targets = ["lfw", "cfp_fp", "agedb_30"]
config.ce_loss = True
config.fc7_lr_mult = 1.0
config.fc7_wd_mult = 1.0
config.fc7_no_bias = False
config.max_steps = 0
config.data_rand_mirror = True
config.data_images_filter = 0
config.count_flops = True
# Beyond the original. Small data sets need it: without it, ArcFace can collapse (lwface/losses/angular.py).
config.loss_monotonic = False

# Networks. net_name is the family: lwface/networks/<net_name>.py.
network = edict()

network.r100 = edict()
network.r100.net_name = "fresnet"
network.r100.num_layers = 100

network.r100fc = edict()
network.r100fc.net_name = "fresnet"
network.r100fc.num_layers = 100
network.r100fc.net_output = "FC"

network.r50 = edict()
network.r50.net_name = "fresnet"
network.r50.num_layers = 50

# Pictures normalised one by one, for faces unlike those it learns from: rendered ones.
network.r50_ibn = edict()
network.r50_ibn.net_name = "fresnet"
network.r50_ibn.num_layers = 50
network.r50_ibn.net_ibn = "stages"

network.r50v1 = edict()
network.r50v1.net_name = "fresnet"
network.r50v1.num_layers = 50
network.r50v1.net_unit = 1

network.d169 = edict()
network.d169.net_name = "fdensenet"
network.d169.num_layers = 169
network.d169.per_batch_size = 64
network.d169.densenet_dropout = 0.0

network.d201 = edict()
network.d201.net_name = "fdensenet"
network.d201.num_layers = 201
network.d201.per_batch_size = 64
network.d201.densenet_dropout = 0.0

network.y1 = edict()
network.y1.net_name = "fmobilefacenet"
network.y1.emb_size = 128
network.y1.net_output = "GDC"

network.y2 = edict()
network.y2.net_name = "fmobilefacenet"
network.y2.emb_size = 256
network.y2.net_output = "GDC"
network.y2.net_blocks = [2, 8, 16, 4]

network.m1 = edict()
network.m1.net_name = "fmobilenet"
network.m1.emb_size = 256
network.m1.net_output = "GDC"
network.m1.net_multiplier = 1.0

network.m05 = edict()
network.m05.net_name = "fmobilenet"
network.m05.emb_size = 256
network.m05.net_output = "GDC"
network.m05.net_multiplier = 0.5

network.mnas = edict()
network.mnas.net_name = "fmnasnet"
network.mnas.emb_size = 256
network.mnas.net_output = "GDC"
network.mnas.net_multiplier = 1.0

network.mnas05 = edict()
network.mnas05.net_name = "fmnasnet"
network.mnas05.emb_size = 256
network.mnas05.net_output = "GDC"
network.mnas05.net_multiplier = 0.5

network.mnas025 = edict()
network.mnas025.net_name = "fmnasnet"
network.mnas025.emb_size = 256
network.mnas025.net_output = "GDC"
network.mnas025.net_multiplier = 0.25

network.vargfacenet = edict()
network.vargfacenet.net_name = "vargfacenet"
network.vargfacenet.net_multiplier = 1.25
network.vargfacenet.emb_size = 512
network.vargfacenet.net_output = "J"

# Beyond the original: a MobileNet that two CPU cores can train in minutes.
network.m025 = edict()
network.m025.net_name = "fmobilenet"
network.m025.emb_size = 128
network.m025.net_input = 0
network.m025.net_act = "relu"
network.m025.net_output = "E"
network.m025.net_multiplier = 0.25

# ArcFace's smaller and larger residual networks, as in arcface_torch (arXiv 1801.07698). r200 is over every budget.
network.r18 = edict()
network.r18.net_name = "fresnet"
network.r18.num_layers = 18

network.r34 = edict()
network.r34.net_name = "fresnet"
network.r34.num_layers = 34

network.r200 = edict()
network.r200.net_name = "fresnet"
network.r200.num_layers = 200
network.r200.net_units = [6, 26, 60, 6]  # the original's 200 has 3, 24, 36, 3

# Ten layers, narrow: what two CPU cores train in half a minute to better figures than m025 in two (LOG.md). With fewer
# than 16 channels PyTorch 2.13 dies in a shortcut's gradient (lwface/search/space.py).
network.r10_xs = edict()
network.r10_xs.net_name = "fresnet"
network.r10_xs.emb_size = 128
network.r10_xs.net_input = 0
network.r10_xs.net_act = "relu"
network.r10_xs.net_units = [1, 1, 1, 1]
network.r10_xs.net_widths = [16, 16, 16, 32, 64]
network.r10_xs.net_expansions = [0.5, 1, 1, 1]
network.r10_xs.lr = 0.05

# As many layers, wider, and with norms a picture: what two CPU cores can train on rendered faces to know real ones.
network.r10_s = edict()
network.r10_s.net_name = "fresnet"
network.r10_s.emb_size = 128
network.r10_s.net_input = 0
network.r10_s.net_act = "relu"
network.r10_s.net_units = [1, 1, 1, 1]
network.r10_s.net_widths = [16, 32, 48, 96, 128]
network.r10_s.net_expansions = [0.5, 1, 1, 1]
network.r10_s.net_ibn = "stages"
network.r10_s.lr = 0.05

# Twelve layers to a map of 14x14, joined by one of 7x7: the usual body of points.
network.r12_p = edict()
network.r12_p.net_name = "fresnet"
network.r12_p.emb_size = 256
network.r12_p.net_output = "GAP"
network.r12_p.net_input = 0
network.r12_p.net_unit = 1
network.r12_p.net_act = "relu"
network.r12_p.net_units = [2, 2, 2, 0]
network.r12_p.net_widths = [24, 48, 96, 192, 192]
network.r12_p.net_fusion = 96

# The same, two thirds as wide: under half the bytes.
network.r12_ps = edict()
network.r12_ps.net_name = "fresnet"
network.r12_ps.emb_size = 256
network.r12_ps.net_output = "GAP"
network.r12_ps.net_input = 0
network.r12_ps.net_unit = 1
network.r12_ps.net_act = "relu"
network.r12_ps.net_units = [2, 2, 2, 0]
network.r12_ps.net_widths = [16, 32, 64, 128, 128]
network.r12_ps.net_fusion = 64

# As many layers, and a third of its products: channels by sixteen, as wide as the registers that multiply them, and
# a first layer of 3x3, whose 7x7 would be a fifth of the time.
network.r12_pxs = edict()
network.r12_pxs.net_name = "fresnet"
network.r12_pxs.emb_size = 256
network.r12_pxs.net_output = "GAP"
network.r12_pxs.net_input = 3
network.r12_pxs.net_unit = 1
network.r12_pxs.net_act = "relu"
network.r12_pxs.net_units = [2, 2, 2, 0]
network.r12_pxs.net_widths = [16, 16, 32, 64, 64]
network.r12_pxs.net_fusion = 32

# HRNet for the large track (arXiv 1908.07919): the authors' widths 18 and 44.
network.hrnet_w18 = edict()
network.hrnet_w18.net_name = "hrnet"
network.hrnet_w18.net_act = "relu"
network.hrnet_w18.net_widths = [18, 36, 72, 144]

network.hrnet_w44 = edict()
network.hrnet_w44.net_name = "hrnet"
network.hrnet_w44.net_act = "relu"
network.hrnet_w44.net_widths = [44, 88, 176, 352]

# Efficient PolyFace, winner of the large image track (arXiv 1909.00632).
network.polyface = edict()
network.polyface.net_name = "polyface"
network.polyface.emb_size = 256
network.polyface.net_act = "relu"

# Vision transformers for the large track, as in arcface_torch (arXiv 2203.15565).
# Optimizer, rate and decay are arcface_torch's for WebFace42M and 24 576 images a step.
network.vit_t = edict()
network.vit_t.net_name = "vit"
network.vit_t.num_layers = 12
network.vit_t.net_width = 256
network.vit_t.optimizer = "adamw"
network.vit_t.lr = 0.001
network.vit_t.wd = 0.1

network.vit_s = edict()
network.vit_s.net_name = "vit"
network.vit_s.num_layers = 12
network.vit_s.net_width = 512
network.vit_s.optimizer = "adamw"
network.vit_s.lr = 0.001
network.vit_s.wd = 0.1

network.vit_b = edict()
network.vit_b.net_name = "vit"
network.vit_b.num_layers = 24
network.vit_b.net_width = 512
network.vit_b.optimizer = "adamw"
network.vit_b.lr = 0.001
network.vit_b.wd = 0.1

# AirFace, second of the light image track: a deeper, wider MobileFaceNet with attention (arXiv 1907.12256).
network.airface = edict()
network.airface.net_name = "airface"
network.airface.net_output = "GDC"

# Octave convolution in y2 and r50: part of the channels at half resolution, for fewer FLOPs (arXiv 1904.05049).
network.oct_y2 = edict()
network.oct_y2.net_name = "octmobilefacenet"
network.oct_y2.emb_size = 256
network.oct_y2.net_output = "GDC"
network.oct_y2.net_blocks = [2, 8, 16, 4]
network.oct_y2.net_alpha = 0.375

network.oct_r50 = edict()
network.oct_r50.net_name = "octresnet"
network.oct_r50.num_layers = 50
network.oct_r50.net_alpha = 0.25

# GhostFaceNetV1-1.3-1 (IEEE Access 11, 2023), and version 2 as wide as the light track's bytes allow.
network.ghostfacenet = edict()
network.ghostfacenet.net_name = "ghostfacenet"
network.ghostfacenet.net_output = "GDC"
network.ghostfacenet.net_unit = 1
network.ghostfacenet.net_multiplier = 1.3

network.ghostfacenet_v2 = edict()
network.ghostfacenet_v2.net_name = "ghostfacenet"
network.ghostfacenet_v2.net_output = "GDC"
network.ghostfacenet_v2.net_unit = 2
network.ghostfacenet_v2.net_multiplier = 1.0

# EdgeFace-S (gamma 0.5) and -XS (gamma 0.6): convolutions and attention between channels (arXiv 2307.01838). Its
# authors train with AdamW; rate and decay are ours.
network.edgeface = edict()
network.edgeface.net_name = "edgeface"
network.edgeface.net_size = "s"
network.edgeface.net_rank = 0.5
network.edgeface.optimizer = "adamw"
network.edgeface.lr = 0.001
network.edgeface.wd = 0.05

network.edgeface_xs = edict()
network.edgeface_xs.net_name = "edgeface"
network.edgeface_xs.net_size = "xs"
network.edgeface_xs.net_rank = 0.6
network.edgeface_xs.optimizer = "adamw"
network.edgeface_xs.lr = 0.001
network.edgeface_xs.wd = 0.05

# MixFaceNet-M, -S, -XS: depthwise kernels of several sizes (arXiv 2107.13046); net_shuffle 1: ShuffleMixFaceNet.
network.mixfacenet = edict()
network.mixfacenet.net_name = "mixfacenet"
network.mixfacenet.net_output = "GDC"
network.mixfacenet.net_size = "m"
network.mixfacenet.net_shuffle = 0

network.mixfacenet_s = edict()
network.mixfacenet_s.net_name = "mixfacenet"
network.mixfacenet_s.net_output = "GDC"
network.mixfacenet_s.net_size = "s"

network.mixfacenet_xs = edict()
network.mixfacenet_xs.net_name = "mixfacenet"
network.mixfacenet_xs.net_output = "GDC"
network.mixfacenet_xs.net_size = "s"
network.mixfacenet_xs.net_multiplier = 0.5

# Data sets. A relative dataset_path starts at the project's root.
dataset = edict()

dataset.emore = edict()
dataset.emore.dataset = "emore"
dataset.emore.dataset_path = "datasets/faces_emore"
dataset.emore.num_classes = 85742
dataset.emore.image_shape = (112, 112, 3)
dataset.emore.val_targets = ["lfw", "cfp_fp", "agedb_30"]

dataset.retina = edict()
dataset.retina.dataset = "retina"
dataset.retina.dataset_path = "datasets/ms1m-retinaface-t1"
dataset.retina.num_classes = 93431
dataset.retina.image_shape = (112, 112, 3)
dataset.retina.val_targets = ["lfw", "cfp_fp", "agedb_30"]

# The embedded data set of procedural faces: python datasets/make_synthetic.py
dataset.synthetic = edict()
dataset.synthetic.dataset = "synthetic"
dataset.synthetic.dataset_path = "datasets/synthetic"
dataset.synthetic.num_classes = 0  # as many as its property file says
dataset.synthetic.image_shape = (112, 112, 3)
dataset.synthetic.val_targets = ["heldout"]
dataset.synthetic.loss_monotonic = True
# Half a minute on two cores with r10_xs, for which it is made; others want more: --max-steps 1000 --warmup-steps 100.
dataset.synthetic.per_batch_size = 64
dataset.synthetic.lr_policy = "cosine"
dataset.synthetic.warmup_steps = 30
dataset.synthetic.max_steps = 300
dataset.synthetic.verbose = 150
dataset.synthetic.num_workers = 0

# Real frames of YouTube Faces, split by person: python datasets/convert_ytf.py
dataset.ytf = edict()
dataset.ytf.dataset = "ytf"
dataset.ytf.dataset_path = "datasets/ytf"
dataset.ytf.num_classes = 0
dataset.ytf.image_shape = (112, 112, 3)
dataset.ytf.val_targets = ["heldout"]
dataset.ytf.loss_monotonic = True
dataset.ytf.per_batch_size = 64
dataset.ytf.lr_policy = "cosine"
dataset.ytf.warmup_steps = 100
dataset.ytf.max_steps = 1500
dataset.ytf.verbose = 250
dataset.ytf.num_workers = 0

# Losses.
loss = edict()

loss.softmax = edict()
loss.softmax.loss_name = "softmax"

loss.nsoftmax = edict()
loss.nsoftmax.loss_name = "margin_softmax"
loss.nsoftmax.loss_s = 64.0
loss.nsoftmax.loss_m1 = 1.0
loss.nsoftmax.loss_m2 = 0.0
loss.nsoftmax.loss_m3 = 0.0

loss.arcface = edict()
loss.arcface.loss_name = "margin_softmax"
loss.arcface.loss_s = 64.0
loss.arcface.loss_m1 = 1.0
loss.arcface.loss_m2 = 0.5
loss.arcface.loss_m3 = 0.0

loss.cosface = edict()
loss.cosface.loss_name = "margin_softmax"
loss.cosface.loss_s = 64.0
loss.cosface.loss_m1 = 1.0
loss.cosface.loss_m2 = 0.0
loss.cosface.loss_m3 = 0.35

loss.combined = edict()
loss.combined.loss_name = "margin_softmax"
loss.combined.loss_s = 64.0
loss.combined.loss_m1 = 1.0
loss.combined.loss_m2 = 0.3
loss.combined.loss_m3 = 0.2

# Beyond the original: ArcFace for some hundred people, who crowd a sphere less than 93 431 do.
loss.arcface_small = edict()
loss.arcface_small.loss_name = "margin_softmax"
loss.arcface_small.loss_s = 32.0
loss.arcface_small.loss_m1 = 1.0
loss.arcface_small.loss_m2 = 0.2
loss.arcface_small.loss_m3 = 0.0
loss.arcface_small.loss_monotonic = True

# ArcFace for finetuning on some hundred people, whom a trained network tells apart already.
loss.arcface_finetune = edict()
loss.arcface_finetune.loss_name = "margin_softmax"
loss.arcface_finetune.loss_s = 32.0
loss.arcface_finetune.loss_m1 = 1.0
loss.arcface_finetune.loss_m2 = 0.5
loss.arcface_finetune.loss_m3 = 0.0
loss.arcface_finetune.loss_monotonic = True

loss.triplet = edict()
loss.triplet.loss_name = "triplet"
loss.triplet.images_per_identity = 5
loss.triplet.triplet_alpha = 0.3
loss.triplet.triplet_bag_size = 7200
loss.triplet.triplet_max_ap = 0.0
loss.triplet.per_batch_size = 60
loss.triplet.lr = 0.05

# Images of one person in a batch against all others of it: no weight of classes (arXiv 2004.11362).
loss.supcon = edict()
loss.supcon.loss_name = "supcon"
loss.supcon.group_size = 4
loss.supcon.temperature = 0.0625

loss.atriplet = edict()
loss.atriplet.loss_name = "atriplet"
loss.atriplet.images_per_identity = 5
loss.atriplet.triplet_alpha = 0.35
loss.atriplet.triplet_bag_size = 7200
loss.atriplet.triplet_max_ap = 0.0
loss.atriplet.per_batch_size = 60
loss.atriplet.lr = 0.05

# Beyond the original: docs/losses.md says of each what it is for and where its values come from.
loss.nsoftmax_centre = edict()
loss.nsoftmax_centre.loss_name = "margin_softmax"
loss.nsoftmax_centre.loss_centre = 1.0

loss.cosface_filter = edict()
loss.cosface_filter.loss_name = "margin_softmax"
loss.cosface_filter.loss_m3 = 0.4
loss.cosface_filter.interclass_filtering_threshold = 0.4

loss.subcenter = edict()
loss.subcenter.loss_name = "subcenter"
loss.subcenter.loss_K = 3
loss.subcenter.loss_m2 = 0.5

loss.adaface = edict()
loss.adaface.loss_name = "adaface"
loss.adaface.loss_m = 0.4
loss.adaface.loss_h = 0.333
loss.adaface.loss_t_alpha = 0.01

loss.magface = edict()
loss.magface.loss_name = "magface"
loss.magface.loss_l_a = 10.0
loss.magface.loss_u_a = 110.0
loss.magface.loss_l_margin = 0.45
loss.magface.loss_u_margin = 0.8
loss.magface.loss_lambda_g = 35.0

loss.curricular = edict()
loss.curricular.loss_name = "curricular"
loss.curricular.loss_m = 0.5
loss.curricular.loss_t_alpha = 0.01

loss.elastic = edict()
loss.elastic.loss_name = "elastic"
loss.elastic.loss_kind = "arc"
loss.elastic.loss_m = 0.5
loss.elastic.loss_sigma = 0.05

loss.elastic_plus = edict()
loss.elastic_plus.loss_name = "elastic"
loss.elastic_plus.loss_kind = "arc"
loss.elastic_plus.loss_m = 0.5
loss.elastic_plus.loss_sigma = 0.0175
loss.elastic_plus.loss_plus = True

loss.elastic_cos = edict()
loss.elastic_cos.loss_name = "elastic"
loss.elastic_cos.loss_kind = "cos"
loss.elastic_cos.loss_m = 0.35
loss.elastic_cos.loss_sigma = 0.05

loss.elastic_cos_plus = edict()
loss.elastic_cos_plus.loss_name = "elastic"
loss.elastic_cos_plus.loss_kind = "cos"
loss.elastic_cos_plus.loss_m = 0.35
loss.elastic_cos_plus.loss_sigma = 0.02
loss.elastic_cos_plus.loss_plus = True

loss.arcnegface = edict()
loss.arcnegface.loss_name = "arcnegface"
loss.arcnegface.loss_m = 0.5
loss.arcnegface.loss_alpha = 1.2
loss.arcnegface.loss_sigma = 2.0

loss.liarc = edict()
loss.liarc.loss_name = "liarc"
loss.liarc.loss_m = 0.45

# What a run does when no flag says otherwise.
default = edict()

default.network = "r100"
default.dataset = "emore"
default.loss = "arcface"
default.pretrained = ""
default.pretrained_epoch = 1
default.pretrained_pixels = ""
default.pretrained_epsilon = 0.0
default.frequent = 20
default.verbose = 2000
default.kvstore = "device"
default.end_epoch = 10000
default.lr = 0.1
default.wd = 0.0005
default.mom = 0.9
default.per_batch_size = 128
default.ckpt = 3
default.lr_steps = "100000,160000,220000"
default.models_root = "./models"
# Beyond the original.
default.optimizer = "sgd"
default.lr_policy = "step"
default.warmup_steps = 0
default.total_steps = 0
default.poly_power = 2.0
default.accumulate = 1
default.clip_norm = 0.0
default.augment = 0.0
default.ema = 0.0
default.checkpoint_steps = 0
default.deterministic = False
default.nonfinite_limit = 10
default.seed = 0
default.num_workers = 2
default.precision = "auto"
default.skip_bad = False
default.leave_out = ""
