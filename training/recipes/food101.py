"""Food-101: a frozen EfficientNet-B0 under a new head, then whole blocks of it, SGD against Adam.

Reproduces the study that trained the head for 15 epochs and then the unfrozen network for 10 more at a lower rate,
on the 75,750 photographs of the official training split, and reached a top-1 accuracy of 0.8066 on the official test
split after 6.5 hours on a GTX 1050. What differs here: the photographs are 64 px squares brought to 160 px, a third
as many, and split otherwise; the second stage trains blocks 4 to 7 alone, at a twentieth of the head's rate, with
cutout. BatchNorm of the backbone stays frozen in both stages, as fine-tuning so few steps needs it, and each optimizer
has its own best rate on the validation split. Gradients are cut, for each optimizer in the way that its trials found
better: Adam's at a norm of 1 over all variables, SGD's at 0.1 in each variable; `rates.csv` keeps the trials of both.
One of the 2,525 test pictures is among those to train on, too.

`sgd-full` and `adam-full` are the study at full size, for whoever has a GPU: 224 px from full-size photographs, 15 and
10 epochs, on `ethz/food101`, whose validation split is the official test split. As uint8 squares the photographs take
11 GB of memory; `python -m training pack` makes shards that are streamed where that is too much.

    python -m training train food101/adam-full --mixed --devices all --out runs/food101-adam-full

`dry-run` is the same on five classes, two epochs of the head and one of all, to see that everything is in place:

    python -m training sweep food101 --runs dry-run --test

On the 64 px data, enlarged, that epoch of all at a tenth of the head's rate unlearned a part of what the head stood on;
at a thirtieth it goes on.
"""

from dataclasses import replace

from training.recipe import Augmentation, Optimizer, Plan, Recipe, Stage

SGD = Optimizer("SGD", rate=1.0, tried=(0.3, 1.0, 3.0), options={"momentum": 0.9, "clipnorm": 0.1})
ADAM = Optimizer("Adam", rate=0.01, tried=(0.001, 0.003, 0.01), options={"global_clipnorm": 1.0})
SGD_FULL = Optimizer("SGD", rate=0.03, tried=(0.01, 0.03, 0.1), options={"momentum": 0.9})
ADAM_FULL = Optimizer("Adam", rate=0.003, tried=(0.001, 0.003, 0.01))

LABELS = (
    "apple_pie",
    "baby_back_ribs",
    "baklava",
    "beef_carpaccio",
    "beef_tartare",
    "beet_salad",
    "beignets",
    "bibimbap",
    "bread_pudding",
    "breakfast_burrito",
    "bruschetta",
    "caesar_salad",
    "cannoli",
    "caprese_salad",
    "carrot_cake",
    "ceviche",
    "cheese_plate",
    "cheesecake",
    "chicken_curry",
    "chicken_quesadilla",
    "chicken_wings",
    "chocolate_cake",
    "chocolate_mousse",
    "churros",
    "clam_chowder",
    "club_sandwich",
    "crab_cakes",
    "creme_brulee",
    "croque_madame",
    "cup_cakes",
    "deviled_eggs",
    "donuts",
    "dumplings",
    "edamame",
    "eggs_benedict",
    "escargots",
    "falafel",
    "filet_mignon",
    "fish_and_chips",
    "foie_gras",
    "french_fries",
    "french_onion_soup",
    "french_toast",
    "fried_calamari",
    "fried_rice",
    "frozen_yogurt",
    "garlic_bread",
    "gnocchi",
    "greek_salad",
    "grilled_cheese_sandwich",
    "grilled_salmon",
    "guacamole",
    "gyoza",
    "hamburger",
    "hot_and_sour_soup",
    "hot_dog",
    "huevos_rancheros",
    "hummus",
    "ice_cream",
    "lasagna",
    "lobster_bisque",
    "lobster_roll_sandwich",
    "macaroni_and_cheese",
    "macarons",
    "miso_soup",
    "mussels",
    "nachos",
    "omelette",
    "onion_rings",
    "oysters",
    "pad_thai",
    "paella",
    "pancakes",
    "panna_cotta",
    "peking_duck",
    "pho",
    "pizza",
    "pork_chop",
    "poutine",
    "prime_rib",
    "pulled_pork_sandwich",
    "ramen",
    "ravioli",
    "red_velvet_cake",
    "risotto",
    "samosa",
    "sashimi",
    "scallops",
    "seaweed_salad",
    "shrimp_and_grits",
    "spaghetti_bolognese",
    "spaghetti_carbonara",
    "spring_rolls",
    "steak",
    "strawberry_shortcake",
    "sushi",
    "tacos",
    "takoyaki",
    "tiramisu",
    "tuna_tartare",
    "waffles",
)

VIEWS = Augmentation(rotation=10, zoom=0.15, shift=0.08, flip=True)
FULL = {
    "input_size": 224,
    "source_size": None,
    "batch_size": 64,
    "augmentation": VIEWS,
    "stages": (Stage(epochs=15, trainable="head"), Stage(epochs=10, rate=0.03)),
}
FIVE = {
    "labels": LABELS[:5],
    "units": 5,
    "subset": True,
    "batch_size": 16,
    "stages": (Stage(epochs=2, trainable="head", views=2), Stage(epochs=1, rate=0.03)),
}

RECIPE = Recipe(
    task="food101",
    labels=LABELS,
    units=len(LABELS),
    # The study: 15 epochs of the head, 10 of the whole network.
    stages=(Stage(epochs=2, trainable="head", views=1), Stage(epochs=5, trainable="4", rate=0.05, views=3)),
    batch_size=32,
    augmentation=replace(VIEWS, erase=0.25),
    plans={
        "sgd": Plan(SGD),
        "adam": Plan(ADAM),
        "sgd-full": Plan(SGD_FULL, changes=FULL),
        "adam-full": Plan(ADAM_FULL, changes=FULL),
        "dry-run": Plan(ADAM_FULL, changes=FULL | FIVE),
    },
    hub="ethz/food101",
    original="test top-1 accuracy 0.8066 (6.5 h on a GTX 1050, full-size photographs)",
    input_size=160,
    source_size=64,
    head_norm=True,
    dropout=0.3,
    label_smoothing=0.1,
)
