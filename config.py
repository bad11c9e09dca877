"""The experiment you are running: your overrides, nothing else.

As shipped, everything comes from ``sample_config.py``. Add lines below, or copy the whole sample over this file
(``cp sample_config.py config.py``) and edit it. Some examples:

    default.per_batch_size = 64                  # a smaller GPU
    default.lr_steps = "50000,80000,110000"

    network.y2.net_act = "relu"                  # change a network

    network.mine = edict()                       # add one: python recognition/train.py --network mine
    network.mine.net_name = "fmobilefacenet"
    network.mine.emb_size = 256
    network.mine.net_output = "GDC"
    network.mine.net_blocks = [2, 6, 10, 2]

    dataset.retina.dataset_path = "/data/ms1m-retinaface-t1"

    dataset.mine = edict()                       # a data set with a name (--dataset datasets/mine works without one)
    dataset.mine.dataset = "mine"
    dataset.mine.dataset_path = "datasets/mine"
    dataset.mine.num_classes = 0                 # 0: as many as its property file says
    dataset.mine.image_shape = (112, 112, 3)
    dataset.mine.val_targets = ["lfw"]           # datasets/mine/lfw.bin
"""

from easydict import EasyDict as edict  # noqa: F401 - for the lines you add

from sample_config import config, dataset, default, loss, network  # noqa: F401 - change them below
